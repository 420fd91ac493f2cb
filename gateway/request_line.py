"""The line of `ssh NAME@HUB kworkspace COMMAND`, split and parsed; `answers` does what it says.

Nothing of it reaches a shell.
"""

import shlex
from dataclasses import dataclass, field

import click

from kworkspace.cli.client.exits import UsageFault

PROGRAM = b"kworkspace"


class WrongUsage(UsageFault):
    """The line itself is wrong."""


def is_for_gateway(command: bytes) -> bool:
    """Whether a command's first word is exactly `kworkspace`."""
    return command.split(maxsplit=1)[:1] == [PROGRAM]


@dataclass(slots=True)
class Request:
    """A line, parsed.

    Attributes:
        words: the command and its arguments.
        json: the result is for a program.
        yes: do not ask.
        help: show the help alone.
        profile: what to start a workspace as.
        options: choices of the profile.
    """

    words: list[str]
    json: bool = False
    yes: bool = False
    help: bool = False
    profile: str | None = None
    options: list[str] = field(default_factory=list)


_LINE = click.Command(
    PROGRAM.decode(),
    params=[
        click.Argument(["words"], nargs=-1),
        click.Option(["-o", "--output"], type=click.Choice(["text", "json"]), default="text"),
        click.Option(["-y", "--yes"], is_flag=True),
        click.Option(["-h", "--help"], is_flag=True),
        click.Option(["--profile"]),
        click.Option(["--option", "options"], multiple=True),
    ],
    add_help_option=False,
)


def parse(command: bytes) -> Request:
    """Parse a line, split as a shell would split it.

    Raises:
        WrongUsage: it cannot be split, or an option is unknown or lacks its value.
    """
    try:
        _, *words = shlex.split(command.decode(errors="replace"))
        given = _LINE.make_context(PROGRAM.decode(), words).params
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    except click.UsageError as error:
        raise WrongUsage(error.format_message().removesuffix(".")) from None
    return Request(
        words=list(given["words"]),
        json=given["output"] == "json",
        yes=given["yes"],
        help=given["help"],
        profile=given["profile"],
        options=list(given["options"]),
    )
