"""One line for one thing, whatever a caller sent, with the id of its request."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kworkspace.hub import logs
from kworkspace.hub.audit import Origin, origin
from kworkspace.hub.config import HubOptions


@pytest.fixture(params=[False])
def output(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[io.StringIO]:
    """What goes to stderr, as text or as JSON; the test run's logging is given back after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    line = HubOptions.log_format.default_value
    logs.set_up(logging.INFO, line, "%H:%M:%S", as_json=request.param)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_request_id(output: io.StringIO) -> None:
    log = logging.getLogger("kworkspace.test")
    token = origin.set(Origin(request_id="r1"))
    log.info("within")
    origin.reset(token)
    log.warning("without")
    log.debug("not shown")
    first, second = output.getvalue().splitlines()
    assert first.endswith(" INFO kworkspace.test [r1] within")
    assert second.endswith(" WARNING kworkspace.test without")


def test_no_caller_can_forge_a_line(output: io.StringIO) -> None:
    logging.getLogger("kworkspace.test").info("name: %s", "x\n2030-01-01 INFO all is well\x1b[2J")
    [line] = output.getvalue().splitlines()
    assert line.endswith(r"name: x\x0a2030-01-01 INFO all is well\x1b[2J")


def test_tracebacks_keep_their_lines(output: io.StringIO) -> None:
    try:
        Path("/nowhere/at/all").read_text()
    except OSError:
        logging.getLogger("kworkspace.test").exception("failed")
    lines = output.getvalue().splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1].startswith("FileNotFoundError")


def test_talkative_libraries(output: io.StringIO) -> None:
    logging.getLogger("asyncssh").info("a login")
    assert output.getvalue() == ""


@pytest.mark.parametrize("output", [True], indirect=True)
def test_json(output: io.StringIO) -> None:
    log = logging.getLogger("kworkspace.test")
    token = origin.set(Origin(request_id="r1"))
    log.info("within")
    origin.reset(token)
    log.warning("without\nend")
    first, second = map(json.loads, output.getvalue().splitlines())
    assert (first["message"], first["request_id"]) == ("within", "r1")
    assert (second["message"], second["level"]) == ("without\nend", "WARNING")
    assert "request_id" not in second


def test_a_hub_and_its_gateway_in_json(make_hub: Callable[..., Any]) -> None:
    """Every line of both, libraries' and refusals' too."""
    hub = make_hub(gateway=True, extra="c.Hub.log_json = True")
    hub.start()
    assert hub.api("GET", "/users/stranger/server")[0] == 404
    assert hub.terminate() == 0
    lines = hub.log.read_text().splitlines()
    lines += (hub.data_dir / "services/gateway/log").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    loggers = {record["logger"] for record in records}
    assert {"kworkspace.hub.run", "kworkspace.gateway.app"} <= loggers
    refused = [record for record in records if "stranger" in record["message"]]
    assert all(record["request_id"] for record in refused)
    assert refused
