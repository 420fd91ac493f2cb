"""`kworkspace start`: starts a workspace and waits until it is ready."""

import time
from collections.abc import Sequence

import click

from kworkspace.cli.client import calls
from kworkspace.cli.client.models import Profile
from kworkspace.cli.client.names import parse_workspace_name
from kworkspace.cli.client.reports import ProfilesReport, workspace_report
from kworkspace.cli.client.workspaces import label, started_text
from kworkspace.cli.options import pass_flags, shared_options, workspace_argument
from kworkspace.cli.reports import report, report_picture
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.waiting import waiting
from kworkspace.cli.workspaces import Workspace


@click.command("start")
@workspace_argument
@click.option("--profile", metavar="NAME", help="What to start it as; --profile ? lists them.")
@shared_options
@pass_flags
def command(flags: Flags, name: str, profile: str | None) -> None:
    """Start a workspace and wait until it is ready.

    Without NAME it is your default workspace. If it runs already, that is fine too. Without
    --profile it is started as it was the last time.
    """
    settings = load(flags)
    parse_workspace_name(name, "NAME")
    with open_client(settings) as client:
        if profile == "?":
            profiles = client.send(calls.profiles())
            report_picture(flags, ProfilesReport(profiles=profiles), lambda: picture(profiles))
            return
        workspace = Workspace(client, settings.user, name)
        began = time.monotonic()
        with waiting(f"Starting {label(name)}", "the start goes on without you") as show:
            changed = workspace.start(show, profile)
        text = started_text(name, time.monotonic() - began, changed=changed)
        server = workspace.look() if flags.json else None
    report(flags, workspace_report(settings.user, name, server, changed), text)


def picture(profiles: Sequence[Profile]) -> list[str]:
    """Return a table of what can be asked for."""
    from kworkspace.cli.tables import NOTHING, Cell, table  # noqa: PLC0415 - not for JSON

    if not profiles:
        return ["This hub has no profiles."]
    rows = [
        [
            Cell(f"{one.slug} (default)" if one.default else one.slug, bold=True),
            Cell(one.display_name),
            Cell(one.description or NOTHING),
        ]
        for one in profiles
    ]
    return table(("PROFILE", "NAME", "DESCRIPTION"), rows)
