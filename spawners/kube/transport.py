"""The HTTP session to one API server: one try of one call, and its outcome as our errors.

Used by `client` alone. aiohttp's and kubernetes_asyncio's exceptions end here. The session is not
the library's own: that one looks into ~/.netrc for every call, and fails where it finds the server
there, since a call has an Authorization header already.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from kworkspace.spawners.kube.credentials import Credentials, CredentialsError
from kworkspace.spawners.kube.errors import (
    ApiError,
    Call,
    ClusterUnreachable,
    Unauthorized,
    refused,
)
from kworkspace.spawners.kube.retry import Failure

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
AGENT = "kworkspace-hub"
READ_BYTES = 256 * 1024

log = logging.getLogger(__name__)

_KEEPALIVE = (  # a connection that is silently dead is noticed after 30 s
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)

LIBRARY_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)
"""What aiohttp raises of a connection; `ValueError` for a URL, which is checked at the start."""


class Failed(Exception):
    """One try failed.

    Args:
        failure: how.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


class Transport:
    """Makes single tries of calls.

    Args:
        credentials: where to, and as whom.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._session = self._new_session()
        self._changes = credentials.changes
        self._distrusted = False

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._credentials.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _new_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,  # the client bounds its calls; watches and streams come on top
            ssl=self._credentials.tls(),
            socket_factory=_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": AGENT},
            read_bufsize=READ_BYTES,
        )

    @asynccontextmanager
    async def request(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout,
        answer_within: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a call; the answer is good, and its body can be read.

        Args:
            call: for messages.
            method: of HTTP.
            path: below the server's URL.
            query: parameters.
            body: encoded.
            content_type: of the body.
            timeout: aiohttp's.
            answer_within: seconds until the answer begins, for streams, whose whole has no limit.

        Raises:
            Failed: also of what breaks while the body is read.
        """
        await self._trust_anew()
        header = await self._credentials.header()
        headers = {"Accept": "application/json"}
        if header is not None:
            headers["Authorization"] = header
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            async with (
                asyncio.timeout(answer_within) as beginning,
                self._session.request(
                    method,
                    self.server + path,
                    params=query,
                    data=body,
                    headers=headers,
                    timeout=timeout,
                    proxy=self._credentials.proxy,
                    server_hostname=self._credentials.server_hostname,
                    allow_redirects=False,
                ) as response,
            ):
                beginning.reschedule(None)
                if response.status >= 300:
                    raise await self._refusal(call, response, header)
                yield response
        except (*LIBRARY_ERRORS, ValueError) as error:
            raise self.broken(call, error) from error

    @asynccontextmanager
    async def websocket(
        self,
        call: Call,
        path: str,
        *,
        query: list[tuple[str, str]],
        protocols: tuple[str, ...],
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket.

        Raises:
            Failed: also of what breaks while it is used.
        """
        await self._trust_anew()
        header = await self._credentials.header()
        try:
            async with (
                asyncio.timeout(CONNECT_SECONDS) as opening,
                self._session.ws_connect(
                    self.server + path,
                    params=query,
                    protocols=protocols,
                    headers={} if header is None else {"Authorization": header},
                    proxy=self._credentials.proxy,
                    server_hostname=self._credentials.server_hostname,
                    heartbeat=15.0,
                    max_msg_size=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                ) as stream,
            ):
                opening.reschedule(None)
                yield stream
        except aiohttp.WSServerHandshakeError as error:
            failed = await self._failed(call, error.status, "", header, error.headers)
            failed.failure.error.__cause__ = error
            raise failed from error
        except (*LIBRARY_ERRORS, ValueError) as error:
            raise self.broken(call, error) from error

    async def _refusal(
        self, call: Call, response: aiohttp.ClientResponse, header: str | None
    ) -> Failed:
        body = await response.content.read(1024 * 1024)
        answer: object
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = body[:500].decode(errors="replace")
        return await self._failed(call, response.status, answer, header, response.headers)

    async def _failed(
        self,
        call: Call,
        status: int,
        answer: object,
        header: str | None,
        headers: Mapping[str, str] | None,
    ) -> Failed:
        asked = None if headers is None else headers.get("Retry-After")
        error = refused(
            call, status, answer, server=self.server, retry_after=_seconds(asked or "1")
        )
        if isinstance(error, Unauthorized):
            renewed = await self._credentials.renew(header)
            if renewed:
                await self._reconnect()
            return Failed(
                Failure(self._credentials.unauthorized(error), renewed=renewed, lasting=not renewed)
            )
        return Failed(Failure(error, unsent=asked is not None))

    async def _reconnect(self) -> None:
        """Take a client certificate that was renewed; nobody knows which one a connection has."""
        if self._credentials.changes == self._changes or not self._credentials.has_certificate:
            return
        self._changes = self._credentials.changes
        await self._replace_session()

    async def _trust_anew(self) -> None:
        """Read again whom to trust, after a server could not prove itself: authorities change."""
        if not self._distrusted:
            return
        self._distrusted = False
        if await self._credentials.look_again():
            await self._replace_session()

    async def _replace_session(self) -> None:
        try:
            new = self._new_session()
        except CredentialsError as error:
            log.warning("The hub's certificates cannot be renewed: %s", error)
            return
        old, self._session = self._session, new
        await old.close()

    def broken(self, call: Call, error: Exception) -> Failed:
        """Return what came of a call that aiohttp gave up."""
        if isinstance(error, aiohttp.ClientSSLError):
            self._distrusted = True
            untrusted = self._credentials.untrusted(error)
            untrusted.__cause__ = error
            return Failed(Failure(untrusted, unsent=True, lasting=True))
        said: ApiError
        if isinstance(error, TimeoutError):
            said = ClusterUnreachable(
                f"The API server {self.server} did not answer in time (asked to {call})"
            )
        else:
            reason = _reason(error)
            said = ClusterUnreachable(
                f"The API server {self.server} cannot be reached: {reason} (asked to {call})"
            )
        said.__cause__ = error
        unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
        lasting = isinstance(error, (aiohttp.InvalidURL, ValueError))
        return Failed(Failure(said, unsent=unsent, lasting=lasting))


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, type, protocol, *_ = address
    made = socket.socket(family=family, type=type, proto=protocol)
    for level, option, value in _KEEPALIVE:
        made.setsockopt(level, option, value)
    return made


def _reason(error: Exception) -> str:
    inner = getattr(error, "os_error", None) or error
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"its proxy does not answer: {_reason_of(inner)}"
    return _reason_of(inner)


def _reason_of(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())[:200] or type(error).__name__


def _seconds(retry_after: str) -> float:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3)."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 1.0
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
