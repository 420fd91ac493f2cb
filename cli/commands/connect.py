"""`kworkspace connect`: a shell or a command in a workspace, by the ssh of this computer.

Signs in, starts the workspace if need be, and becomes ssh: its exit code is ours.
"""

import os
import sys

import click

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.names import Login, parse_workspace_name
from kworkspace.cli.client.workspaces import label
from kworkspace.cli.door import await_door, offered_keys
from kworkspace.cli.forwards import parse_forwards
from kworkspace.cli.options import pass_flags, shared_options, workspace_argument
from kworkspace.cli.programs import program
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client
from kworkspace.cli.ssh_command import Wish, pin, ssh_arguments, told
from kworkspace.cli.terminal import say
from kworkspace.cli.waiting import waiting
from kworkspace.cli.workspaces import Workspace


class ConnectCommand(click.Command):
    """Everything after the first `--` is the command to run, and never an option of ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the arguments at `--` before click sees them."""
        own = args[: args.index("--")] if "--" in args else args
        ctx.meta[__name__] = tuple(args[len(own) + 1 :])
        try:
            return super().parse_args(ctx, list(own))
        except click.UsageError as error:
            if "extra argument" not in error.message:
                raise
            message = f"{error.message.rstrip('.')}; put the command after --"
            raise click.UsageError(message, ctx) from error

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the command in the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


@click.command("connect", cls=ConnectCommand)
@workspace_argument
@click.option(
    "-f",
    "--forward",
    "forwards",
    multiple=True,
    metavar="SPEC",
    help="Carry a port of this computer into the workspace: 8080, 8080:80 or 8888:host:80."
    " May be given more than once.",
)
@click.option("-t", "terminal", is_flag=True, help="A terminal for the command, as ssh -t.")
@click.option("-N", "no_shell", is_flag=True, help="No shell: forward ports only, as ssh -N.")
@shared_options
@click.pass_context
@pass_flags
def command(
    flags: Flags,
    context: click.Context,
    *,
    name: str,
    forwards: tuple[str, ...],
    terminal: bool,
    no_shell: bool,
) -> None:
    """Open a shell in a workspace, or run a command; start it if need be.

    Without NAME it is your default workspace. After -- comes a command: in one word it is a line
    for the shell, as in -- 'ls | wc -l'; several words arrive as they are. The exit code is ssh's.
    """
    wish = Wish(context.meta[__name__], tuple(parse_forwards(forwards)), terminal, no_shell)
    if no_shell and (wish.command or not wish.forwards):
        raise UsageFault("-N only forwards ports: give -f, and no command")
    parse_workspace_name(name, "NAME")
    settings = load(flags)
    ssh = program("ssh")
    with open_client(settings) as client:
        title = f"Starting {label(name)}"
        with waiting(title, "the start goes on without you") as show:
            Workspace(client, settings.user, name).start(show)
            door = await_door(client, show)
    arguments = ssh_arguments(
        url=settings.api,
        door=door,
        login=Login(settings.user, name),
        known_hosts=pin(settings.state_dir, settings.api, door),
        keys=offered_keys(settings),
        only_these=settings.ssh_key_path is not None,
        wish=wish,
    )
    if no_shell:
        say(told(wish.forwards))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(ssh, arguments)  # noqa: S606 - a list of arguments, no shell
