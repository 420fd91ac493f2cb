"""The hub's REST on a loopback port, and what calls it."""

import base64
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import msgspec
import pytest
from asyncssh.packet import Boolean, Byte, String
from multidict import CIMultiDictProxy
from sqlalchemy import event
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from yarl import URL

from kworkspace.cli.client.challenge import door_text
from kworkspace.hub.api.routes import make_application
from tests.hub.clock import DEADLINE
from tests.hub.conftest import KeyFile
from tests.hub.parts import DOOR_KEY, OpenParts, Parts


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """Status and message of an error, whose shape is checked."""
        assert self.headers["Content-Type"] == "application/json"
        assert set(self.json) == {"status", "message"}
        assert self.json["status"] == self.status
        return self.status, self.json["message"]


class Web:
    """Calls a hub."""

    def __init__(self, parts: Parts, url: str, session: aiohttp.ClientSession) -> None:
        self.parts = parts
        self.url = url
        self.session = session

    async def __call__(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        json: object = None,
        data: bytes | None = None,
        **headers: str,
    ) -> Reply:
        """Make one call; the path is sent as it is."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json is not None:
            data = msgspec.json.encode(json)
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return Reply(response.status, response.headers, await response.read())

    def stream(self, path: str, token: str) -> "aiohttp.client._RequestContextManager":
        """Open a stream of events."""
        return self.session.get(self.url + path, headers={"Authorization": f"token {token}"})


OpenWeb = Callable[[Parts], Web]


@pytest.fixture
async def open_web() -> AsyncIterator[OpenWeb]:
    """Return a function that has parts serve HTTP."""
    limit = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=limit, auto_decompress=False) as session:
        served: list[tuple[Parts, HTTPServer]] = []

        def open_(parts: Parts) -> Web:
            base_url = parts.domain.api_prefix.removesuffix("hub/api")
            server = HTTPServer(make_application(parts.domain, base_url), max_body_size=1024**2)
            [socket] = bind_sockets(0, "127.0.0.1")
            server.add_sockets([socket])
            served.append((parts, server))
            return Web(parts, f"http://127.0.0.1:{socket.getsockname()[1]}", session)

        yield open_
        for parts, server in served:
            server.stop()
            await parts.domain.streams.aclose()
            await server.close_all_connections()


@pytest.fixture
async def web(open_hub: OpenParts, open_web: OpenWeb, keys: dict[str, KeyFile]) -> Web:
    """A hub in which alice, bob and ada have a key each."""
    users = {
        "alice": [keys["ed25519"].line],
        "bob": [keys["other"].line],
        "ada": [keys["ecdsa"].line],
    }
    return open_web(await open_hub(users=users))


@pytest.fixture
async def alice(web: Web) -> str:
    """A token of alice."""
    return await web.parts.token("alice")


@pytest.fixture
async def ada(web: Web) -> str:
    """A token of ada, an admin."""
    return await web.parts.token("ada")


@pytest.fixture
async def gateway(web: Web) -> str:
    """A gateway's token."""
    return await web.parts.service_token("gateway")


@contextmanager
def counted_queries(parts: Parts) -> Iterator[list[str]]:
    """Collect every SQL statement, but for those that look what other hubs have changed."""
    statements: list[str] = []

    def count(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not connection.get_execution_options().get("postgresql_readonly"):
            statements.append(statement)

    engine = parts.store._engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", count)


def signed_login(key: KeyFile, login: str, session_id: bytes | None = None) -> dict[str, str]:
    """Return what a gateway sends of a login that an SSH client has signed (RFC 4252, 7)."""
    pair = asyncssh.load_keypairs([Path(key.path)])[0]
    if pair.algorithm == b"ssh-rsa":
        pair.set_sig_algorithm(b"rsa-sha2-512")
    session_id = os.urandom(32) if session_id is None else session_id
    signed = b"".join(
        (
            String(session_id),
            Byte(50),
            String(login),
            String("ssh-connection"),
            String("publickey"),
            Boolean(True),
            String(pair.sig_algorithm),
            String(pair.public_data),
        )
    )
    return {
        "gateway": "gw-1",
        "login": login,
        "public_key": key.line,
        "signed": base64.b64encode(signed).decode(),
        "signature": base64.b64encode(pair.sign(signed)).decode(),
        "door_signature": base64.b64encode(
            DOOR_KEY.sign(door_text(session_id), b"ssh-ed25519")
        ).decode(),
        "address": "192.0.2.7",
        "client_version": "SSH-2.0-OpenSSH_9.2",
    }
