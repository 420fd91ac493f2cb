"""Requests at the end of the process: answered, or refused before anything was done."""

import asyncio
import logging

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from kworkspace.hub.api import underway
from kworkspace.hub.api.routes import make_application
from tests.hub.api.conftest import Web


async def test_refused_when_it_ends(web: Web, alice: str, caplog: pytest.LogCaptureFixture) -> None:
    """Which is nobody's mistake."""
    [socket] = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(make_application(web.parts.domain, "/"))
    server.add_sockets([socket])
    server.stop()
    await web.parts.domain.under_way.drain(server)
    status, message = (await web("POST", "/hub/api/users/alice/server", alice)).error
    assert (status, message) == (503, "The hub is ending; try again in a few seconds")
    assert web.parts.readmodel.server_of("alice", "") is None
    [record] = [record for record in caplog.records if "is ending" in record.message]
    assert record.levelno == logging.WARNING


async def test_waits_for_those_under_way_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = HTTPServer(lambda request: None)
    requests = underway.UnderWay()
    with requests.one():
        draining = asyncio.get_running_loop().create_task(requests.drain(server))
        await asyncio.sleep(0)
        assert not draining.done()
    await asyncio.wait_for(draining, 5)
    monkeypatch.setattr(underway, "ANSWER_SECONDS", 0.01)
    with requests.one():
        await asyncio.wait_for(requests.drain(server), 5)
