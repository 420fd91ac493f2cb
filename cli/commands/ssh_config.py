"""`kworkspace ssh-config`: plain ssh, scp, rsync and editors reach the workspaces by name."""

from pathlib import Path

import click

from kworkspace.cli import edits
from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.reports import SSHConfigReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.door import await_door, offered_keys
from kworkspace.cli.host_block import alias_of, host_block, host_names
from kworkspace.cli.marked_block import BrokenMarks, parts, with_block
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.ssh_command import pin
from kworkspace.cli.waiting import waiting


@click.command("ssh-config")
@click.option("--alias", metavar="NAME", help="Call it NAME; without it, kworkspace.")
@click.option("--print", "show", is_flag=True, help="Print the block, and write no ~/.ssh/config.")
@click.option("--remove", is_flag=True, help="Take the block away.")
@shared_options
@pass_flags
def command(flags: Flags, *, alias: str | None, show: bool, remove: bool) -> None:
    """Write a block into ~/.ssh/config, so that plain ssh knows the way.

    Then `ssh kworkspace` leads to your default workspace and `ssh NAME.kworkspace` to another, and
    so do scp, rsync, VS Code and all that use ssh; a workspace that is stopped is started. The
    gateway's host keys come from the hub: no question is asked about them.

    Run it again after you made a workspace. The block stands at the top of the file, between two
    marks; the rest of the file stays as it is. Each hub has a block of its own.
    """
    if remove and (show or alias):
        raise UsageFault("--remove goes with neither --print nor --alias")
    settings = load(flags)
    file = Path.home() / ".ssh" / "config"
    before = edits.read(file)
    hosts: list[str] = []
    block = ""
    try:
        if not remove:
            name = alias_of(settings.api, parts(before), alias)
            hosts, block = _block(settings, name)
        after = with_block(before, settings.api, block)
    except BrokenMarks as error:
        raise KworkspaceError(f"{file}: {error.message}: mend it by hand first") from error
    if show and not flags.json:
        click.echo(with_block(b"", settings.api, block), nl=False)
        return
    changed = after != before
    if changed and not show:
        edits.replace(file, after)
    result = SSHConfigReport(file=str(file), hosts=hosts, changed=changed and not show)
    report(flags, result, _sentence(file, hosts, changed))


def current_block(client: Client, settings: Settings, alias: str) -> tuple[list[str], str]:
    """Return what ssh can be called with, and the lines of the block, as of now.

    Args:
        client: signed in.
        settings: of this run.
        alias: what the default workspace is called.
    """
    workspaces = client.send(calls.get_user(settings.user)).servers
    with waiting("Looking for the SSH gateway", "nothing is changed") as told:
        door = await_door(client, told)
    block = host_block(
        url=settings.api,
        user=settings.user,
        alias=alias,
        workspaces=workspaces,
        door=door,
        known_hosts=pin(settings.state_dir, settings.api, door),
        keys=offered_keys(settings),
        only_these=settings.ssh_key_path is not None,
    )
    return host_names(alias, workspaces), block


def _block(settings: Settings, alias: str) -> tuple[list[str], str]:
    with open_client(settings) as client:
        return current_block(client, settings, alias)


def _sentence(file: Path, hosts: list[str], changed: bool) -> str:
    if not hosts:
        return f"The block is gone from {file}." if changed else f"There is no block in {file}."
    state = "Written to" if changed else "It is all there already in"
    return f"{state} {file}. Now: {', '.join(f'ssh {host}' for host in hosts)}"
