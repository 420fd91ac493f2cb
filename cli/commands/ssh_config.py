"""`kworkspace ssh-config`: plain ssh, scp, rsync and editors reach the workspaces by name."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from kworkspace.cli import edits
from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import Conflict, KworkspaceError
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.models import Server
from kworkspace.cli.client.names import is_dns_label
from kworkspace.cli.client.reports import SSHConfigReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.workspaces import label
from kworkspace.cli.door import await_door, offered_keys
from kworkspace.cli.host_block import (
    TunnelHost,
    alias_of,
    has_tunnels,
    host_block,
    host_names,
    tunnel_host,
)
from kworkspace.cli.marked_block import BrokenMarks, parts, with_block
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.ssh_command import pin
from kworkspace.cli.terminal import say
from kworkspace.cli.tunnel_hub import keep
from kworkspace.cli.tunnel_key import TunnelKey
from kworkspace.cli.tunnel_state import KnownTunnel
from kworkspace.cli.waiting import waiting


@click.command("ssh-config")
@click.option("--alias", metavar="NAME", help="Call it NAME; without it, kworkspace.")
@click.option("--print", "show", is_flag=True, help="Print the block, and write no ~/.ssh/config.")
@click.option(
    "--tunnel/--no-tunnel",
    "tunnel",
    default=None,
    help="Names that lead by tunnel, too: kworkspace-tunnel. The next run remembers it.",
)
@click.option("--remove", is_flag=True, help="Take the block away.")
@shared_options
@pass_flags
def command(
    flags: Flags, *, alias: str | None, show: bool, tunnel: bool | None, remove: bool
) -> None:
    """Write a block into ~/.ssh/config, so that plain ssh knows the way.

    Then `ssh kworkspace` leads to your default workspace and `ssh NAME.kworkspace` to another, and
    so do scp, rsync, VS Code and all that use ssh; a workspace that is stopped is started. The
    gateway's host keys come from the hub: no question is asked about them.

    With --tunnel, `ssh kworkspace-tunnel` leads there encrypted all the way, and where only HTTPS
    gets through (see kworkspace proxy).

    Run it again after you made a workspace. The block stands at the top of the file, between two
    marks; the rest of the file stays as it is. Each hub has a block of its own.
    """
    if remove and (show or alias or tunnel is not None):
        raise UsageFault("--remove goes with none of --print, --alias and --tunnel")
    settings = load(flags)
    file = Path.home() / ".ssh" / "config"
    before = edits.read(file)
    hosts: list[str] = []
    block = ""
    try:
        if not remove:
            found = parts(before)
            name = alias_of(settings.api, found, alias)
            if tunnel is None:
                tunnel = has_tunnels(settings.api, found)
            hosts, block = _block(settings, name, tunnel=tunnel)
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


def current_block(
    client: Client, settings: Settings, alias: str, *, tunnel: bool = False
) -> tuple[list[str], str]:
    """Return what ssh can be called with, and the lines of the block, as of now.

    Args:
        client: signed in.
        settings: of this run.
        alias: what the default workspace is called.
        tunnel: whether there are to be names that lead by tunnel.
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
        tunnels=(tunnels := _tunnels(settings, alias, workspaces) if tunnel else []),
    )
    return [*host_names(alias, workspaces), *(each.host for each in tunnels)], block


def _tunnels(settings: Settings, alias: str, workspaces: Mapping[str, Server]) -> list[TunnelHost]:
    """Return the workspaces that can be reached by tunnel: that have run, so that they have a key.

    Raises:
        NotFound: the hub has no tunnels.
        Conflict: none has run yet.
    """
    found: list[TunnelHost] = []
    program = [os.path.abspath(sys.argv[0]), "proxy", "--certificate"]  # noqa: PTH100 - a link stays one
    where = ["--api", settings.api, "--user", settings.user]
    if settings.config is not None:
        where += ["--config", str(settings.config)]
    if settings.ssh_key_path is not None:
        where += ["--ssh-key-path", str(settings.ssh_key_path)]
    for name, server in sorted(workspaces.items()):
        if name and not is_dns_label(name):
            continue  # a pattern in it would lead other hosts there (ssh_config(5), PATTERNS)
        known = keep(settings, settings.user, name, server)
        if not known.account:
            say(f"{label(name)} has not run yet, so nothing leads there by tunnel: start it first")
            continue
        files = KnownTunnel(settings, settings.user, name)
        key = TunnelKey(files.folder)
        found.append(
            TunnelHost(
                host=tunnel_host(alias, name),
                account=known.account,
                id=known.id,
                known_hosts=files.known_hosts,
                key=key.private,
                certificate=key.certificate,
                proxy=[*program, *where, *([name] if name else [])],
            )
        )
    if not found:
        raise Conflict("no workspace has run yet: kworkspace start, and then this again")
    return found


def _block(settings: Settings, alias: str, *, tunnel: bool) -> tuple[list[str], str]:
    with open_client(settings) as client:
        return current_block(client, settings, alias, tunnel=tunnel)


def _sentence(file: Path, hosts: list[str], changed: bool) -> str:
    if not hosts:
        return f"The block is gone from {file}." if changed else f"There is no block in {file}."
    state = "Written to" if changed else "It is all there already in"
    return f"{state} {file}. Now: {', '.join(f'ssh {host}' for host in hosts)}"
