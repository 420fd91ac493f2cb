"""`kworkspace start`: starts a workspace and waits until it is ready."""

import time
from collections.abc import Sequence

import click

from kworkspace.cli.client import calls
from kworkspace.cli.client.models import Profile
from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.profiles import LIST, asked_for
from kworkspace.cli.client.reports import ProfilesReport, workspace_report
from kworkspace.cli.client.workspaces import label, started_text
from kworkspace.cli.options import (
    complete_option,
    complete_profile,
    pass_flags,
    shared_options,
    workspace_argument,
)
from kworkspace.cli.reports import report, report_picture
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.waiting import waiting
from kworkspace.cli.workspaces import Workspace


@click.command("start")
@workspace_argument
@click.option(
    "--profile",
    metavar="NAME",
    help=f"What to start it as; --profile {LIST} lists them.",
    shell_complete=complete_profile,
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="A choice of the profile, such as image=torch; one --option for each.",
    shell_complete=complete_option,
)
@shared_options
@pass_flags
def command(flags: Flags, name: str, profile: str | None, options: tuple[str, ...]) -> None:
    """Start a workspace and wait until it is ready.

    Without NAME it is your default workspace. If it runs already, that is fine too. Without
    --profile it is started as it was the last time, but for what --option says.
    """
    settings = load(flags)
    parse_workspace_name(name, "NAME")
    asked = asked_for(profile, options)
    with open_client(settings) as client:
        if profile == LIST:
            found = client.send(calls.profiles())
            report_picture(flags, ProfilesReport(profiles=found), lambda: _picture(found))
            return
        workspace = Workspace(client, settings.user, name)
        began = time.monotonic()
        with waiting(f"Starting {label(name)}", "the start goes on without you") as show:
            changed = workspace.start(show, asked)
        text = started_text(name, time.monotonic() - began, changed=changed)
        server = workspace.look() if flags.json else None
    report(flags, workspace_report(settings.user, name, server, changed), text)


def _picture(profiles: Sequence[Profile]) -> list[str]:
    from kworkspace.cli.client.profile_table import profiles_picture  # noqa: PLC0415 - not for JSON
    from kworkspace.cli.tables import screen  # noqa: PLC0415

    return profiles_picture(profiles, screen())
