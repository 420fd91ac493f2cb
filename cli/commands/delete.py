"""`kworkspace delete`: deletes a named workspace with its files."""

import click

from kworkspace.cli.asking import have_typed
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.reports import DeletionReport
from kworkspace.cli.options import (
    named_workspace_argument,
    pass_flags,
    shared_options,
    yes_option,
)
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.waiting import waiting
from kworkspace.cli.workspaces import Workspace


@click.command("delete")
@named_workspace_argument
@yes_option
@shared_options
@pass_flags
def command(flags: Flags, *, name: str, yes: bool) -> None:
    """Delete a workspace and all files in it.

    It is stopped if it runs. Nothing brings the files back, so you are asked to type its name;
    without a terminal to ask on, --yes is needed.
    """
    settings = load(flags)
    if not parse_workspace_name(name, "NAME"):
        raise UsageFault("your default workspace cannot be deleted; name another")
    with open_client(settings) as client:
        workspace = Workspace(client, settings.user, name)
        workspace.find()
        what = f"Workspace {name} of {settings.user} and all files in it go, for good."
        if not yes and not have_typed(name, what):
            raise KworkspaceError(f"that is not {name}: nothing is deleted")
        with waiting(f"Deleting workspace {name}", "the deletion goes on without you") as show:
            workspace.delete(show)
    result = DeletionReport(user=settings.user, workspace=name, changed=True)
    report(flags, result, f"Workspace {name} and its files are deleted.")
