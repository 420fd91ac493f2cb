"""`kworkspace list`: the workspaces of the user, and what each is doing."""

from collections.abc import Sequence

import click

from kworkspace.cli.client import calls
from kworkspace.cli.client.models import ServerState
from kworkspace.cli.client.reports import WorkspaceReport, WorkspacesReport, ago, workspace_report
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.paint import symbol
from kworkspace.cli.reports import report_picture
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client

HEADS = ("WORKSPACE", "STATE", "STARTED", "LAST ACTIVE")
COLOURS = {
    ServerState.READY: ("●", "green"),
    ServerState.STARTING: ("◐", "yellow"),
    ServerState.STOPPING: ("◐", "yellow"),
    ServerState.STOPPED: ("○", ""),
}


@click.command("list")
@shared_options
@pass_flags
def command(flags: Flags) -> None:
    """List your workspaces and what each is doing."""
    settings = load(flags)
    with open_client(settings) as client:
        servers = client.send(calls.get_user(settings.user)).servers
    workspaces = [
        workspace_report(settings.user, name, servers.get(name))
        for name in ("", *sorted(filter(None, servers)))
    ]
    result = WorkspacesReport(user=settings.user, workspaces=workspaces)
    report_picture(flags, result, lambda: picture(workspaces))


def picture(workspaces: Sequence[WorkspaceReport]) -> list[str]:
    """Return a table of the workspaces, and below it why some of them failed."""
    from kworkspace.cli.tables import NOTHING, Cell, paragraph, table  # noqa: PLC0415 - not for JSON

    rows = []
    for one in workspaces:
        char, colour = COLOURS[one.status]
        running = one.status is not ServerState.STOPPED
        rows.append(
            [
                Cell(one.workspace or "(default)", bold=True),
                Cell(one.status, colour, symbol=symbol(char)),
                Cell(ago(one.started) if running and one.started else NOTHING, dim=not running),
                Cell(ago(one.last_activity) if one.last_activity else NOTHING, dim=not running),
            ]
        )
    lines = table(HEADS, rows)
    if any(one.error for one in workspaces):
        lines.append("")
    for one in workspaces:
        if one.error:
            text = f"{one.workspace or '(default)'}: {one.error}"
            lines += paragraph(Cell(text, "red"), lead=Cell("! ", "red"), indent=2)
    return lines
