"""`kworkspace doctor`: what is wrong here, on the way, or at the hub, and what to do about it."""

from functools import partial
from pathlib import Path

import click

from kworkspace.cli.checks import computer
from kworkspace.cli.checks import hub as way
from kworkspace.cli.checks.outcome import bounded, failed, ok, skipped
from kworkspace.cli.checks.ssh_file import NAME, block
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.exits import Exit, UsageFault
from kworkspace.cli.client.models import HubRoot
from kworkspace.cli.client.reports import CheckReport, DoctorReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.commands.ssh_config import current_block
from kworkspace.cli.host_block import alias_of, has_tunnels
from kworkspace.cli.identity import identity_report
from kworkspace.cli.marked_block import parts
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.paint import symbol
from kworkspace.cli.reports import report_picture
from kworkspace.cli.settings import Flags, Settings, load, state_directory
from kworkspace.cli.signin import open_client

LOOKS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("-", ""),
}


@click.command("doctor")
@shared_options
@pass_flags
def command(flags: Flags) -> int:
    """Find out what is wrong, and what to do about it.

    Looks at the settings, keys and agent, the ssh program, the way to the hub, the hub, the clocks,
    signing in, the SSH gateway, and ~/.ssh/config. It ends with 1 if something failed.
    """
    checks = list(_checks(flags))
    good = all(check.state != "failed" for check in checks)
    report_picture(flags, DoctorReport(ok=good, checks=checks), lambda: picture(checks))
    return Exit.OK if good else Exit.FAILED


def picture(checks: list[CheckReport]) -> list[str]:
    """Return a line or two for each check, and one for all of them."""
    from kworkspace.cli.tables import Cell, paragraph  # noqa: PLC0415 - not for JSON

    lines = []
    for check in checks:
        char, colour = LOOKS[check.state]
        sign = symbol(char)
        lead = Cell(f"{sign}{check.state.ljust(9)}", colour)
        indent = len(sign) + 9
        lines += paragraph(Cell(f"{check.name}: {check.text}"), lead=lead, indent=indent)
        if check.fix:
            lines += paragraph(Cell(f"To do: {check.fix}", bold=True), indent=indent)
    count = {state: sum(check.state == state for check in checks) for state in LOOKS}
    found = [f"{count[state]} {state}" for state in ("failed", "warning") if count[state]]
    return [*lines, "", ", ".join(found) if found else "All is well."]


def _checks(flags: Flags) -> list[CheckReport]:
    settings = None
    try:
        settings = load(flags)
        found = [ok("settings", f"{settings.user} at {settings.api}")]
    except UsageFault as error:
        found = [failed("settings", error.message)]
    chosen = settings.ssh_key_path if settings else None
    folder = settings.state_dir if settings else state_directory()
    found += bounded("ssh", computer.programs)
    found += bounded("agent", computer.agent)
    found += bounded("key", partial(computer.keys, chosen))
    found += bounded("own files", partial(computer.state_folder, folder))
    if settings is None:
        why = "the settings do not tell which hub"
        return [*found, skipped("hub", why), *_block(None, None)]
    answers: list[HubRoot] = []
    found += _way(settings, answers)
    if not answers:
        return [*found, skipped("sign-in", "the hub is not reached"), *_block(settings, None)]
    # Not bounded here: each step of it is, and a person may have to type or to touch something.
    try:
        with open_client(settings) as client:
            found.append(ok("sign-in", identity_report(client, settings)[1]))
            return [*found, *_block(settings, client if answers[0].ssh else None)]
    except KworkspaceError as error:
        return [*found, failed("sign-in", error.message), *_block(settings, None)]


def _way(settings: Settings, answers: list[HubRoot]) -> list[CheckReport]:
    found = bounded("address", partial(way.address, settings))
    if any(check.state == "failed" for check in found):
        return found
    found += bounded("TLS", partial(way.tls, settings))
    found += bounded("hub", partial(way.hub, settings, answers))
    if not answers:
        return found
    return [*found, *bounded("gateway", partial(way.gateway, settings, answers[0].ssh))]


def _block(settings: Settings | None, client: Client | None) -> list[CheckReport]:
    """Look at ~/.ssh/config; with a client, also whether the block is as it would be now."""

    def now(content: bytes) -> str:
        assert settings is not None
        assert client is not None
        alias = alias_of(settings.api, parts(content), None)
        tunnel = has_tunnels(settings.api, parts(content))
        return current_block(client, settings, alias, tunnel=tunnel)[1]

    file = Path.home() / ".ssh" / "config"
    url = settings.api if settings else ""
    return bounded(NAME, lambda: block(file, url, now if client else None))
