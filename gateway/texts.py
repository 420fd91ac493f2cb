"""What a terminal or a log shows: one line, without anything that a terminal would obey.

Names, reasons and messages come from people and from other programs. Escape sequences in them
must not reach a screen (nor a log that somebody reads on one).
"""

import logging
import sys
import unicodedata

from kworkspace.cli.client.json_log import JsonFormatter
from kworkspace.cli.client.models import StartOnConnect
from kworkspace.cli.client.names import parse_login

RESTARTING = "The hub is restarting; try again in a few seconds."
SHUTTING_DOWN = "The gateway is shutting down; your workspace keeps running."
WORKSPACE_LOST = (
    "The connection to your workspace was lost; it may have been stopped. Connect again."
)

_MAX_LINE = 1000


def plain(text: str) -> str:
    """Return the text as one harmless line: control and format characters are written out."""
    return harmless(text[:_MAX_LINE] + ("..." if len(text) > _MAX_LINE else ""))


def harmless(text: str) -> str:
    """Return all of the text as a line without control and format characters."""
    return "".join(
        char
        if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
        else _code(char)
        for char in text
    )


def _code(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def leaving(seconds: float) -> str:
    """Return what terminals are told when the gateway goes, but not yet.

    Args:
        seconds: how long they may go on.
    """
    span = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return f"The gateway shuts down in {span}: connect again. Your workspace keeps running."


def stopped(login: str, start_on_connect: StartOnConnect) -> str:
    """Return what is said of a workspace that this connection does not start.

    Args:
        login: the login name.
        start_on_connect: which connections do.
    """
    ways = f"type `kworkspace start {parse_login(login).server}".rstrip() + "`"
    if start_on_connect == "interactive":
        ways = f"connect with a terminal (ssh -t), or {ways}"
    return (
        f"The workspace is stopped, and this connection does not start it: {ways}, then try again."
    )


class PlainFormatter(logging.Formatter):
    """Makes each record's message harmless; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        record.message = plain(record.message)
        return super().formatMessage(record)


def set_up_logging(level: str, form: str) -> None:
    """Log to stderr; asyncssh only warns, since it would write commands and environments.

    Args:
        level: the least level that is shown.
        form: "text" or "json".
    """
    handler = logging.StreamHandler(sys.stderr)
    plainly = PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if form == "json" else plainly)
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
