"""`kworkspace config`: every setting, its value, and where that comes from."""

import click

from kworkspace.cli.client.reports import ConfigReport, Setting, SettingReport
from kworkspace.cli.config_file import checked, write
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report, report_picture
from kworkspace.cli.settings import KEYS, Flags, account, config_file, state_directory, written

UNSET = {
    "api": "the first command on a terminal asks for it",
    "ssh_key_path": "the keys of ssh-agent, then those of ~/.ssh",
    "ca_file": "the system's CA certificates",
}


@click.group("config", invoke_without_command=True)
@shared_options
@click.pass_context
@pass_flags
def command(flags: Flags, context: click.Context) -> None:
    """Show every setting and where it comes from, or change the file.

    A flag wins over the environment, that over the file, and that over the file of this command's
    predecessor. Nothing is checked here: kworkspace doctor does that.
    """
    if context.invoked_subcommand is not None:
        return
    file = config_file(flags)
    found = written(flags)
    defaults = {"user": account(), "state_dir": str(state_directory())}
    settings = []
    for key in KEYS:
        if key in found:
            settings.append(Setting(key=key, value=found[key].text, source=found[key].source))
        else:
            settings.append(Setting(key=key, value=defaults.get(key), source="default"))
    result = ConfigReport(file=str(file), exists=file.is_file(), settings=settings)
    report_picture(flags, result, lambda: picture(result))


@command.command("set")
@click.argument("key", type=click.Choice(KEYS))
@click.argument("value")
@shared_options
@pass_flags
def set_value(flags: Flags, *, key: str, value: str) -> None:
    """Write a setting into the configuration file; '' as VALUE takes it away.

    Everything else in the file stays as it is.
    """
    file = config_file(flags)
    text = checked(key, value) if value else ""
    changed = write(file, {key: text})
    sentence = f"{key} is {text} in {file}." if text else f"{key} is not set in {file}."
    result = SettingReport(key=key, value=text or None, file=str(file), changed=changed)
    report(flags, result, sentence)


def picture(result: ConfigReport) -> list[str]:
    """Return a card for each setting, and the file's path."""
    from kworkspace.cli.tables import Cell, paragraph  # noqa: PLC0415 - not for JSON

    lines = []
    indent = max(map(len, KEYS)) + 2
    for one in result.settings:
        lead = Cell(one.key.ljust(indent), bold=True)
        if one.value is None:
            lines += paragraph(
                Cell(f"not set: {UNSET[one.key]}", dim=True), lead=lead, indent=indent
            )
            continue
        lines += paragraph(Cell(one.value), lead=lead, indent=indent)
        source = one.source.removesuffix(f": {one.key}")
        lines += paragraph(
            Cell(f"from {source}" if source != "default" else "the default", dim=True),
            indent=indent,
        )
    note = "" if result.exists else " (not there yet)"
    return [
        *lines,
        "",
        *paragraph(Cell(f"{result.file}{note}"), lead=Cell("The file: "), indent=10),
    ]
