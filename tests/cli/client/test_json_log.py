"""One object per line, whatever was logged."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

from kworkspace.cli.client.json_log import JsonFormatter


def record(message: str, *args: object, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("kworkspace.test", logging.WARNING, "f", 1, message, args, None)
    made.__dict__.update(fields)
    return made


def test_fields() -> None:
    line = JsonFormatter().format(record("Login of %s", "alice", created=1.5, request_id="r1"))
    assert json.loads(line) == {
        "time": datetime.fromtimestamp(1.5, UTC).isoformat(timespec="milliseconds"),
        "level": "WARNING",
        "logger": "kworkspace.test",
        "message": "Login of alice",
        "request_id": "r1",
    }
    assert '"time": "1970-01-01T00:00:01.500+00:00"' in line
    assert "request_id" not in json.loads(JsonFormatter().format(record("no request")))


def test_a_traceback_is_one_line() -> None:
    try:
        Path("/no/such\ndirectory").read_text()
    except OSError:
        line = JsonFormatter().format(record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert json.loads(line)["exc"].splitlines()[0] == "Traceback (most recent call last):"
    assert json.loads(line)["exc"].splitlines()[-1].startswith("FileNotFoundError: ")


def test_nothing_makes_a_line_of_its_own() -> None:
    text = 'x\r\n"}\u2028\u2029\x1b[2J\x85\udcff\x00'
    line = JsonFormatter().format(record("%s", text))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == text
