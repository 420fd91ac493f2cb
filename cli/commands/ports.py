"""`kworkspace ports`: what listens in a workspace, and the ssh that leads to each."""

import click

from kworkspace.cli.client import calls
from kworkspace.cli.client.names import Login, parse_workspace_name
from kworkspace.cli.client.ports import port_reports, ports_picture, ssh_words
from kworkspace.cli.client.reports import PortsReport
from kworkspace.cli.door import await_door
from kworkspace.cli.options import pass_flags, shared_options, workspace_argument
from kworkspace.cli.reports import report_picture
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.ssh_command import door_host
from kworkspace.cli.tables import screen
from kworkspace.cli.terminal import say
from kworkspace.cli.workspaces import Workspace


@click.command("ports")
@workspace_argument
@shared_options
@pass_flags
def command(flags: Flags, name: str) -> None:
    """Show what listens in a workspace, and the way to it.

    For each TCP port: the program, and the ssh command that carries the port to this computer.
    Without NAME it is your default workspace.
    """
    settings = load(flags)
    parse_workspace_name(name, "NAME")
    with open_client(settings) as client:
        Workspace(client, settings.user, name).find()
        found = client.send(calls.ports(settings.user, name))
        door = await_door(client, say)
    host = door_host(settings.api, door)
    ssh = ssh_words(Login(settings.user, name), host, door.port)
    ports = port_reports(found, ssh)
    result = PortsReport(user=settings.user, workspace=name, ports=ports)
    report_picture(flags, result, lambda: ports_picture(name, ports, screen()))
