"""The line of `ssh NAME@HUB kworkspace COMMAND`, split and parsed; `answers` does what it says.

Nothing of it reaches a shell.
"""

import shlex
from dataclasses import dataclass, field

from kworkspace.cli.client.exits import UsageFault

PROGRAM = b"kworkspace"
_LONG = ("--output", "--profile", "--option")


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


def parse(command: bytes) -> Request:
    """Parse a line as a shell would split it.

    Raises:
        WrongUsage: it cannot be split, or an option is unknown or lacks its value.
    """
    try:
        _, *words = shlex.split(command.decode(errors="replace"))
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    request = Request([])
    while words:
        word = words.pop(0)
        if word in {"-h", "--help"}:
            request.help = True
        elif word in {"-y", "--yes"}:
            request.yes = True
        elif word == "-o" or word.partition("=")[0] in _LONG:
            name, equals, value = word.partition("=")
            if not equals and not words:
                raise WrongUsage(f"Option '{name}' requires an argument")
            _set(request, name, value if equals else words.pop(0))
        elif word.startswith("-") and word != "-":
            raise WrongUsage(f"No such option: {word}")
        else:
            request.words.append(word)
    return request


def _set(request: Request, option: str, value: str) -> None:
    if option == "--profile":
        request.profile = value
    elif option == "--option":
        request.options.append(value)
    elif value in {"text", "json"}:
        request.json = value == "json"
    else:
        raise WrongUsage(f"Invalid value for '-o': '{value}' is not one of 'text', 'json'")
