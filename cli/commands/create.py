"""`kworkspace create`: makes a named workspace, without starting it."""

import click

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.reports import workspace_report
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.workspaces import Workspace


@click.command("create")
@click.argument("name")
@shared_options
@pass_flags
def command(flags: Flags, name: str) -> None:
    """Make a workspace of your own beside your default one.

    It has files of its own and is not started yet. NAME has the characters a-z, 0-9 and '-'. If it
    exists already, that is fine too.
    """
    settings = load(flags)
    if not parse_workspace_name(name, "NAME"):
        raise UsageFault("your default workspace is there already; name another")
    with open_client(settings) as client:
        workspace = Workspace(client, settings.user, name)
        changed = workspace.create()
        server = workspace.look() if flags.json else None
    state = "is made" if changed else "exists already"
    text = f"Workspace {name} {state}. To go in: kworkspace connect {name}"
    report(flags, workspace_report(settings.user, name, server, changed), text)
