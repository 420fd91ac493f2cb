"""The asynchronous transport against the stand-in hub."""

import gzip
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client import aio, calls, replies
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import HubUnreachable, NotFound, Unauthorized
from kworkspace.cli.client.models import Progress
from kworkspace.cli.client.sse import MAX_EVENT

if TYPE_CHECKING:
    from tests.cli.stand_in_hub import Hub


@pytest.fixture
def token_file(hub: "Hub", tmp_path: Path) -> Path:
    """A token of alice's."""
    hub.tokens["t"] = "alice"
    file = tmp_path / "token"
    file.write_text("t\n")
    return file


@pytest.fixture
def new_client(hub: "Hub", token_file: Path) -> Callable[[], AsyncClient]:
    """Make a client of the stand-in."""
    return lambda: AsyncClient(hub.url, token_file)


async def test_a_call(new_client: Callable[[], AsyncClient]) -> None:
    async with new_client() as client:
        assert (await client.send(calls.whoami())).name == "alice"


async def test_an_error_is_raised(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    body = b'{"status": 404, "message": "nobody"}'
    hub.answers["GET /hub/api/user"] = (404, {"Content-Type": "application/json"}, body)
    async with new_client() as client:
        with pytest.raises(NotFound, match="nobody"):
            await client.send(calls.whoami())


async def test_a_token_that_changed_in_its_file(
    hub: "Hub", token_file: Path, new_client: Callable[[], AsyncClient]
) -> None:
    async with new_client() as client:
        hub.tokens.clear()
        with pytest.raises(Unauthorized):
            await client.send(calls.whoami())
        hub.tokens["new"] = "alice"
        token_file.write_text("new")
        assert (await client.send(calls.whoami())).name == "alice"


async def test_a_stream(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    hub.start_events = [{"progress": 10, "message": "one"}]
    async with new_client() as client:
        await client.send(calls.start("alice"))
        events = [event async for event in client.stream(calls.progress("alice"))]
    assert [event.message for event in events] == ["one", "Your workspace is ready"]


async def test_a_stream_that_breaks_off(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    hub.break_streams = 1
    async with new_client() as client:
        await client.send(calls.start("alice"))
        with pytest.raises(HubUnreachable):
            async for _ in client.stream(calls.progress("alice")):
                pass


async def test_a_stream_that_is_refused(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    async with new_client() as client:
        hub.tokens.clear()
        with pytest.raises(Unauthorized):
            async for _ in client.stream(calls.progress("alice")):
                pass


async def test_a_silent_stream(
    hub: "Hub", new_client: Callable[[], AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "SILENCE_SECONDS", 0.1)
    hub.go_on.clear()
    async with new_client() as client:
        await client.send(calls.start("alice"))
        with pytest.raises(HubUnreachable):
            async for _ in client.stream(calls.progress("alice")):
                pass


async def test_no_hub(token_file: Path) -> None:
    async with AsyncClient("http://127.0.0.1:1", token_file) as client:
        with pytest.raises(HubUnreachable, match=r"The hub at http://127.0.0.1:1 does not answer"):
            await client.send(calls.root())


@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_without_end(
    status: int,
    hub: "Hub",
    new_client: Callable[[], AsyncClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replies, "MAX_REPLY", 2**20)
    hub.answers["GET /hub/api/user"] = (status, {}, b" " * (2**20 + 1))
    async with new_client() as client:
        with pytest.raises(HubUnreachable, match="larger than 1 MB"):
            await client.send(calls.whoami())


async def test_nothing_is_decompressed(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    content = gzip.compress(b'{"name": "alice", "admin": false}' + b" " * 2**20)
    hub.answers["GET /hub/api/user"] = (200, {"Content-Encoding": "gzip"}, content)
    async with new_client() as client:
        with pytest.raises(HubUnreachable, match="not one of a kworkspace hub"):
            await client.send(calls.whoami())


@pytest.mark.parametrize("event", [b"data: " + b"x" * MAX_EVENT, b'data: "\xff"\n\n'])
async def test_events_that_are_none(
    event: bytes, hub: "Hub", new_client: Callable[[], AsyncClient]
) -> None:
    hub.answers["GET /hub/api/users/alice/server/progress"] = (200, {}, event)
    async with new_client() as client:
        with pytest.raises(HubUnreachable):
            async for _ in client.stream(calls.progress("alice")):
                pass


async def test_a_stream_can_be_closed(hub: "Hub", new_client: Callable[[], AsyncClient]) -> None:
    hub.start_events = [{"progress": 10, "message": "one"}]
    async with new_client() as client:
        await client.send(calls.start("alice"))
        stream: AsyncGenerator[Progress, None] = client.stream(calls.progress("alice"))
        assert (await anext(stream)).message == "one"
        await stream.aclose()
