"""`kworkspace stop`: stops a workspace and waits until it is stopped."""

import time

import click

from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.reports import workspace_report
from kworkspace.cli.client.workspaces import label, stopped_text
from kworkspace.cli.options import pass_flags, shared_options, workspace_argument
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.waiting import waiting
from kworkspace.cli.workspaces import Workspace


@click.command("stop")
@workspace_argument
@shared_options
@pass_flags
def command(flags: Flags, name: str) -> None:
    """Stop a workspace and wait until it is stopped.

    Its files stay. Without NAME it is your default workspace.
    """
    settings = load(flags)
    parse_workspace_name(name, "NAME")
    with open_client(settings) as client:
        workspace = Workspace(client, settings.user, name)
        began = time.monotonic()
        with waiting(f"Stopping {label(name)}", "the stop goes on without you") as show:
            changed = workspace.stop(show)
        text = stopped_text(name, time.monotonic() - began, changed=changed)
        server = workspace.look() if flags.json else None
    report(flags, workspace_report(settings.user, name, server, changed), text)
