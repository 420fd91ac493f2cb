"""What the command's exit codes mean, and which error ends with which.

`main` turns every error into one line on stderr and one of these codes; docs/cli.md and the help
text list them. `connect` ends with ssh's own code once ssh runs.
"""

from enum import IntEnum
from typing import ClassVar

from kworkspace.cli.client.errors import (
    Forbidden,
    HubUnreachable,
    InvalidName,
    KworkspaceError,
    NotFound,
    Unauthorized,
)


class Exit(IntEnum):
    """The exit codes: stable, for scripts."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    INTERRUPTED = 130


HELP = {
    Exit.OK: "done",
    Exit.FAILED: "the hub refused, or the start failed",
    Exit.USAGE: "wrong usage or settings",
    Exit.DENIED: "not signed in, or not allowed",
    Exit.NOT_FOUND: "not found",
    Exit.UNREACHABLE: "the hub cannot be reached (network, TLS, proxy)",
    Exit.INTERRUPTED: "interrupted",
}


class UsageFault(KworkspaceError):
    """An option, an environment variable or a line of the configuration file is wrong."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "usage"


class Interrupted(KworkspaceError):
    """The person ended a wait; the message says what goes on without them."""

    code: ClassVar[str] = "interrupted"


_EXITS: tuple[tuple[type[KworkspaceError], Exit], ...] = (
    (UsageFault, Exit.USAGE),
    (InvalidName, Exit.USAGE),
    (Unauthorized, Exit.DENIED),
    (Forbidden, Exit.DENIED),
    (NotFound, Exit.NOT_FOUND),
    (HubUnreachable, Exit.UNREACHABLE),
    (Interrupted, Exit.INTERRUPTED),
)


def exit_code(error: KworkspaceError) -> Exit:
    """Return the code that an error ends the command with."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)
