"""Leveled log lines with the id of the request that they belong to."""

import logging
import sys

from kworkspace.cli.client.json_log import JsonFormatter
from kworkspace.hub.audit import origin


class _RequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id = origin.get().request_id
        record.request = f" [{request_id}]" if request_id else ""
        return True


class _OneLine(logging.Formatter):
    """What a caller sent may be in a message: it must not make a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        return super().formatMessage(record).translate(_CONTROL_CHARACTERS)


_CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def set_up(level: int | str, line: str, date: str, *, as_json: bool) -> None:
    """Send all logs to stderr.

    Args:
        level: the least level that is shown.
        line: the format of a line, with `request`.
        date: the format of `asctime` in it.
        as_json: one JSON object per line instead.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestId())
    handler.setFormatter(JsonFormatter() if as_json else _OneLine(line, date))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # What they say of every step belongs to debugging.
    for talkative in ("asyncssh", "alembic", "aiosqlite"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
