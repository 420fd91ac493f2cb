"""The entry of `kworkspace`: finds the command, runs it, and turns errors into one line and a code.

A command's module is loaded when the command is used: `--help` must stay under its budget, so
nothing heavy (msgspec, urllib3, rich) may be imported from here.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from kworkspace.cli import __version__
from kworkspace.cli.asking import is_person
from kworkspace.cli.client.commands import COMMANDS, SECTIONS
from kworkspace.cli.client.errors import KworkspaceError, TooMany
from kworkspace.cli.client.exits import HELP, Exit, exit_code
from kworkspace.cli.client.words import one_line
from kworkspace.cli.help_text import HelpFormatter
from kworkspace.cli.options import shared_options
from kworkspace.cli.paint import paint
from kworkspace.cli.settings import NoHub

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Of the contexts of all commands: click has no other place for it.
click.Context.formatter_class = HelpFormatter


class LazyGroup(click.Group):
    """A group whose commands are modules of `kworkspace.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which a person needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"kworkspace.cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        longest = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(longest), text) for name, text in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), text) for code, text in HELP.items()])
            formatter.write_text("connect ends with the exit code of ssh.")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Complete the commands without loading them."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - for shells alone

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        found = [name for name in COMMANDS if name.startswith(incomplete)]
        return [CompletionItem(name, help=COMMANDS[name]) for name in found]


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@shared_options
def group() -> None:
    """Your development machine, one ssh away."""


def main() -> None:
    """Run the command line and exit."""
    if isinstance(sys.stdout, TextIOWrapper):  # as stderr: no text fails for the terminal's charset
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; errors are one line on stderr."""
    try:
        result = _run(arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "kworkspace"
        message = error.format_message().removesuffix(".")
        return _fail(f"{message}; see {path} --help", Exit.USAGE)
    except click.Abort:
        return Exit.INTERRUPTED
    except TooMany as error:
        return _fail(f"{error.message} (try again in {error.retry_after} s)", exit_code(error))
    except KworkspaceError as error:
        return _fail(error.message, exit_code(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}", Exit.FAILED)
    return result if isinstance(result, int) else Exit.OK


def _run(arguments: Sequence[str]) -> object:
    """Run a command line; where no hub is known yet, ask the person for one and run it again."""
    try:
        return group.main(arguments, prog_name="kworkspace", standalone_mode=False)
    except NoHub as error:
        if error.flags.json or not is_person():
            raise
        from kworkspace.cli.first_run import ask_for_settings  # noqa: PLC0415 - once

        ask_for_settings(error.flags)
    return group.main(arguments, prog_name="kworkspace", standalone_mode=False)


def _fail(message: str, code: Exit) -> int:
    name = paint("kworkspace:", "red", err=True)
    click.echo(f"{name} {one_line(message)}", err=True)
    return code
