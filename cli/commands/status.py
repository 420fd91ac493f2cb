"""`kworkspace status`: what a workspace is doing."""

import click

from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.reports import status_text, workspace_report
from kworkspace.cli.options import pass_flags, shared_options, workspace_argument
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.workspaces import Workspace


@click.command("status")
@workspace_argument
@shared_options
@pass_flags
def command(flags: Flags, name: str) -> None:
    """Show what a workspace is doing.

    Without NAME it is your default workspace. All of them: kworkspace list.
    """
    settings = load(flags)
    parse_workspace_name(name, "NAME")
    with open_client(settings) as client:
        server = Workspace(client, settings.user, name).find()
    result = workspace_report(settings.user, name, server)
    report(flags, result, status_text(result))
