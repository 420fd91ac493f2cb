"""The gateway's port for tunnels, with a WebSocket client that is not ours, and a plain TCP server.

What ssh makes of it is in `tests/test_tunnel.py`.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kworkspace.cli.client import models as m
from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import Conflict, Forbidden, HubUnreachable, TooMany
from kworkspace.cli.client.proxies import trusted_networks
from kworkspace.cli.client.tasks import Tasks
from kworkspace.cli.client.tunnel import SUBPROTOCOL
from kworkspace.gateway import tunnel as tunnel_module
from kworkspace.gateway.house import Held, Stranger
from kworkspace.gateway.tunnel import Tunnel
from kworkspace.gateway.tunnel_port import TunnelPort

SECONDS = 20.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Hub:
    """Answers the calls of a tunnel."""

    def __init__(self) -> None:
        self.asked: list[m.TunnelRequest] = []
        self.error: Exception | None = None
        self.address: m.WorkspaceAddress | None = None

    async def send(self, call: Call[Any]) -> Any:
        assert isinstance(call.body, m.TunnelRequest)
        self.asked.append(call.body)
        if self.error is not None:
            raise self.error
        return m.Tunnel(
            id="session-1", actor="alice", start_on_connect="always", address=self.address
        )


class House:
    """Holds sessions as the gateway's house does."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.instance = "gw-1"
        self.strangers: set[Stranger] = set()
        self.sessions: list[Held] = []
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    def arrive(self, visitor: Stranger) -> None:
        self.strangers.add(visitor)

    def enter(self, visitor: Stranger, session: Held) -> None:
        self.strangers.discard(visitor)
        self.sessions.append(session)

    def depart(self, visitor: Stranger, session: Held | None, reason: str) -> None:
        self.strangers.discard(visitor)
        if session is not None:
            self.sessions.remove(session)
            self.ended.put_nowait(session.why_it_ended(reason))


@dataclass
class Place:
    """A port for tunnels, and the workspace that they lead to."""

    hub: Hub
    house: House
    port: TunnelPort
    client: aiohttp.ClientSession
    workspace: "asyncio.Queue[Streams]" = field(default_factory=asyncio.Queue)

    def url(self, path: str = "/gateway/tunnel/alice") -> str:
        return f"http://127.0.0.1:{self.port.port}{path}"

    @asynccontextmanager
    async def tunnel(
        self, path: str = "/gateway/tunnel/alice"
    ) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Streams]]:
        """Open one, and return both its ends."""
        async with self.client.ws_connect(
            self.url(path),
            protocols=[SUBPROTOCOL],
            headers={"Authorization": "token secret"},
            autoping=False,
            max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
        ) as ws:
            assert await text(ws) == "ready ssh-ed25519 KEY"
            reader, writer = await self.workspace.get()
            try:
                yield ws, (reader, writer)
            finally:
                await ws.close()
                writer.transport.abort()
                with suppress(OSError):
                    await writer.wait_closed()


async def text(ws: aiohttp.ClientWebSocketResponse) -> str:
    """Return the next message, a text."""
    message = await ws.receive(SECONDS)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    return str(message.data)


async def raw(port: TunnelPort, request: bytes) -> bytes:
    """Return all that is answered to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    writer.write(request)
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    hub = Hub()
    house = House(hub)
    port = TunnelPort(house, socket.create_server(("127.0.0.1", 0)), SECONDS)  # type: ignore[arg-type]
    async with aiohttp.ClientSession() as client, asyncio.timeout(60):
        place = Place(hub, house, port, client)
        server = await asyncio.start_server(
            lambda *ends: place.workspace.put_nowait(ends), "127.0.0.1", 0
        )
        hub.address = m.WorkspaceAddress(
            host="127.0.0.1", port=server.sockets[0].getsockname()[1], host_key="ssh-ed25519 KEY"
        )
        yield place
        server.close()
    await port.close()
    await port.aclose()
    for _ in range(3):  # aiohttp's transports are closed by the loop, soon
        await asyncio.sleep(0)


async def test_what_the_hub_is_asked(place: Place) -> None:
    async with place.tunnel("/kw/gateway/tunnel/al%C3%AFce/gpu?x"):
        [asked] = place.hub.asked
        assert (asked.token, asked.user, asked.server) == ("secret", "alïce", "gpu")
        assert (asked.gateway, asked.address) == ("gw-1", "127.0.0.1")
        assert place.house.strangers == set()
    assert await place.house.ended.get() == "the user disconnected"


@pytest.mark.parametrize(("trusted", "seen"), [(True, "203.0.113.5"), (False, "127.0.0.1")])
async def test_where_it_came_from(place: Place, trusted: bool, seen: str) -> None:
    """What a proxy says counts if it is a trusted one."""
    networks = trusted_networks(["127.0.0.0/8"] if trusted else [])
    listener = socket.create_server(("127.0.0.1", 0))
    port = TunnelPort(place.house, listener, SECONDS, trusted=networks)  # type: ignore[arg-type]
    place.hub.error = Forbidden("no")
    told = b"\r\nX-Forwarded-For: 1.1.1.1, 203.0.113.5\r\n"
    assert b" 403 " in await raw(port, REQUEST.replace(b"\r\n", told, 1))
    assert [asked.address for asked in place.hub.asked] == [seen]
    await port.close()
    await port.aclose()


async def test_bytes_go_both_ways_and_each_ends_by_itself(place: Place) -> None:
    """Another client masks with a random key, and sends in frames of any size."""
    up, down = os.urandom(3_000_001), os.urandom(2_000_003)
    async with place.tunnel() as (ws, (reader, writer)), asyncio.TaskGroup() as group:
        group.create_task(_send(writer, down))

        async def send_up() -> None:
            for size in (1, 125, 126, 65535, 65536, len(up)):
                await ws.send_bytes(up[:size])
            await ws.send_str("eof")

        group.create_task(send_up())
        came = b""
        while len(came) < len(down):
            came += (await ws.receive(SECONDS)).data
        assert came == down
        expected = b"".join(up[:size] for size in (1, 125, 126, 65535, 65536, len(up)))
        assert await reader.read(-1) == expected
        writer.write(b"after your end")
        assert (await ws.receive(SECONDS)).data == b"after your end"
        writer.write_eof()
        assert await text(ws) == "eof"


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_after_the_workspaces_end_it_still_hears(place: Place) -> None:
    async with place.tunnel() as (ws, (reader, writer)):
        writer.write_eof()
        assert await text(ws) == "eof"
        await ws.send_bytes(b"still here")
        assert await reader.readexactly(10) == b"still here"
    assert await place.house.ended.get() == "the workspace ended the connection"


@pytest.mark.parametrize("way", ["up", "down"])
async def test_it_is_idle_while_little_goes_through(place: Place, way: str) -> None:
    """Keepalives are no use of it."""
    async with place.tunnel() as (ws, (reader, writer)):
        [session] = place.house.sessions
        assert isinstance(session, Tunnel)
        began = session._use.last = asyncio.get_running_loop().time() - 1000
        for size, used in ((100, False), (5000, True)):
            if way == "up":
                await ws.send_bytes(bytes(size))
                await reader.readexactly(size)
            else:
                writer.write(bytes(size))
                left = size
                while left:
                    left -= len((await ws.receive(SECONDS)).data)
            async with asyncio.timeout(SECONDS):
                while (session._use.last > began) is not used:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert (session.activity().idle < 500) is used


async def test_pings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers them, and sends its own when nothing else is sent."""
    monkeypatch.setattr(tunnel_module, "PING_SECONDS", 0.05)
    async with place.tunnel() as (ws, _):
        await ws.ping(b"are you there")
        kinds = {(message.type, message.data) for message in [await ws.receive(SECONDS)] * 1}
        while (aiohttp.WSMsgType.PONG, b"are you there") not in kinds or (
            aiohttp.WSMsgType.PING,
            b"",
        ) not in kinds:
            message = await ws.receive(SECONDS)
            kinds.add((message.type, bytes(message.data)))


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_a_slow_reader_stops_the_other_end(place: Place, direction: str) -> None:
    """Nothing is kept for it but what fits into a buffer and the kernel's."""
    sent = 0
    async with place.tunnel() as (ws, (_, writer)):
        before = _rss()
        chunk = bytes(1 << 20)

        async def fill() -> None:
            nonlocal sent
            while sent < 256 << 20:
                if direction == "down":
                    writer.write(chunk)
                    await writer.drain()
                else:
                    await ws.send_bytes(chunk)
                sent += len(chunk)

        # The end that reads nothing is this one: of aiohttp's client, or of asyncio's server.
        tasks = Tasks()
        tasks.spawn(fill(), "fill")
        seen = -1
        while seen != sent:
            seen = sent
            await asyncio.sleep(0.3)
        await tasks.aclose()
        assert sent < 128 << 20
        assert _rss() - before < 150
        [session] = place.house.sessions
        session.cut("enough")
        assert ws._response.connection is not None
        assert ws._response.connection.transport is not None
        ws._response.connection.transport.abort()  # it would wait to send the rest
    assert await place.house.ended.get() == "enough"


def _rss() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@pytest.mark.parametrize("stalled", [False, True])
async def test_the_hub_ends_it(place: Place, stalled: bool) -> None:
    """With a word for the person, unless they read nothing."""
    async with place.tunnel() as (ws, (_, writer)):
        [session] = place.house.sessions
        session.show("the roof is on fire")
        assert await text(ws) == "message the roof is on fire"
        if stalled:
            writer.write(bytes(64 << 20))
            await asyncio.sleep(0.3)
        session.hang_up("stopped\x1b[2J")
        if stalled:
            session.cut("stopped")
        else:
            assert await text(ws) == r"message stopped\x1b[2J"
            assert await text(ws) == "eof"
        await ws.close()
    assert (await place.house.ended.get()).startswith("stopped")


async def test_a_workspace_that_dies_or_is_not_there(place: Place) -> None:
    async with place.tunnel() as (ws, (_, writer)):
        writer.transport.abort()
        assert await text(ws) == "eof"
    assert place.hub.address is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nowhere = probe.getsockname()[1]
    place.hub.address = m.WorkspaceAddress(host="127.0.0.1", port=nowhere, host_key="x")
    async with place.client.ws_connect(
        place.url(), protocols=[SUBPROTOCOL], headers={"Authorization": "bearer x"}
    ) as ws:
        assert (await text(ws)).startswith("error Your workspace does not answer (")
        assert (await ws.receive(SECONDS)).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Conflict("sign in again"), 401, "sign in again"),
        (Forbidden("not yours"), 403, "not yours"),
        (TooMany("enough", 7), 429, "enough"),
        (HubUnreachable("no answer"), 503, "The hub is restarting; try again in a few seconds."),
    ],
)
async def test_refusals_are_as_the_hubs(
    place: Place, error: Exception, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kworkspace.gateway.hub.PATIENCE_SECONDS", 0.0)
    place.hub.error = error
    headers = {"Authorization": "token x"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await place.client.ws_connect(place.url(), protocols=[SUBPROTOCOL], headers=headers)
    assert refusal.value.status == status
    assert refusal.value.headers is not None
    assert refusal.value.headers.get("Retry-After") == ("7" if status == 429 else None)
    assert place.house.sessions == []
    assert message.encode() in await raw(place.port, REQUEST)


REQUEST = (
    b"GET /gateway/tunnel/alice HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer t\r\n"
    b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n\r\n"
)


async def test_broken_frames_end_it(place: Place) -> None:
    """What comes with the request, before the answer, is read too."""
    await raw(place.port, REQUEST + b"\x82\x05hello")
    assert await place.house.ended.get() == (
        "the user's side breaks the protocol: masked by the wrong end"
    )
    _, writer = await place.workspace.get()
    writer.close()
    await writer.wait_closed()


async def test_silent_strangers_go(place: Place) -> None:
    """Those that say nothing in time, and those that the house sends away."""
    late = TunnelPort(place.house, socket.create_server(("127.0.0.1", 0)), 0.1)  # type: ignore[arg-type]
    assert await raw(late, b"") == b""
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port.port)
    writer.write(b"GET /")
    while not place.house.strangers:  # noqa: ASYNC110  nobody tells
        await asyncio.sleep(0.01)
    for stranger in place.house.strangers:
        assert (stranger.address, stranger.standing) == ("127.0.0.1", 0)
        stranger.abort()
    assert await reader.read(-1) == b""
    writer.close()
    await writer.wait_closed()
    await late.close()
    await late.aclose()
