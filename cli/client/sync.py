"""The synchronous transport, on urllib3: for the command.

Every call has a timeout; only calls that may be repeated are tried again, and only when the
connection broke. What a hub can make us hold is bounded, so nothing is decompressed. Redirects are
never followed: a token goes to the URL that the person named. After a 401 the token is renewed
once, by whoever made the client. What goes wrong below HTTP is explained by `unreachable`.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.challenge import normal_url
from kworkspace.cli.client.errors import HubUnreachable, Unauthorized
from kworkspace.cli.client.pools import open_pool
from kworkspace.cli.client.replies import check_size, decode_error, decode_json, decode_reply
from kworkspace.cli.client.sse import EventDecoder
from kworkspace.cli.client.unreachable import clock_offset, explain, no_hub

T = TypeVar("T")

CONNECT_SECONDS = 5.0
CALL_SECONDS = 30.0
SILENCE_SECONDS = 60.0
CHUNK = 65536
TRIES = 3
PAUSE_SECONDS = 0.2


class Client:
    """A connection to one hub, for one person.

    Args:
        url: the hub's URL, without `/hub/api`.
        ca_file: CA certificates to trust instead of the system's.
        token: the API token; None for the calls that need none.
        renew: makes a new token, called with this client without one after a 401.
        seconds: what one call may take; with less than CALL_SECONDS none is made again.

    Attributes:
        clock_offset: the hub's time minus this computer's in seconds, from the newest answer.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        token: str | None = None,
        renew: "Callable[[Client], str] | None" = None,
        seconds: float = CALL_SECONDS,
    ) -> None:
        self.url = normal_url(url)
        self.token = token
        self.clock_offset: float | None = None
        self._renew = renew
        self._seconds = seconds
        self._pool = open_pool(self.url, ca_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; urllib3 alone would leave that to the garbage collector."""
        for key in self._pool.pools.keys():  # noqa: SIM118 - it cannot be iterated
            if (pool := self._pool.pools.get(key)) is not None:
                pool.close()
        self._pool.clear()

    def send(self, call: Call[T]) -> T:
        """Make one call.

        Raises:
            KworkspaceError: what the hub answered, or HubUnreachable.
        """
        return self._renewing(lambda: self._send(call))

    def stream(self, call: Call[T]) -> Iterator[T]:
        """Yield the events of a stream until the hub ends it.

        Raises:
            KworkspaceError: what the hub answered, or HubUnreachable, also when the stream breaks.
        """
        response = self._renewing(lambda: self._open(call, SILENCE_SECONDS)[0])
        decoder = EventDecoder()
        try:
            while chunk := response.read1(CHUNK):
                for event in decoder.feed(chunk):
                    yield decode_json(event, call.reply)
        except HTTPError as error:
            raise explain(error, self.url) from error
        except msgspec.DecodeError as error:
            raise no_hub(self.url, response.status, "a stream of something else") from error
        finally:
            response.close()

    def _renewing(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Unauthorized:
            if self._renew is None:
                raise
        # The renewal makes calls of its own with this client: those must not renew again.
        renew, self._renew, self.token = self._renew, None, None
        try:
            self.token = renew(self)
        finally:
            self._renew = renew
        return work()

    def _send(self, call: Call[T]) -> T:
        response, content = self._open(call, self._seconds)
        return decode_reply(call, response.status, response.headers, content)

    def _open(self, call: Call[T], timeout: float) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """Make the request, and raise what the status stands for.

        Returns:
            The answer and its content; without content it is a stream to be read.
        """
        response, content = self._request(call, timeout)
        self.clock_offset = clock_offset(response.headers.get("Date", ""))
        kind = _kind(response)
        if 300 <= response.status < 400:
            raise no_hub(self.url, response.status, response.headers.get("Location", ""))
        if content and kind != "application/json":
            raise no_hub(self.url, response.status, kind)
        if response.status >= 400:
            raise decode_error(call, response.status, response.headers, content)
        if call.stream and not _streams(call, response):
            raise no_hub(self.url, response.status, kind)
        return response, content

    def _request(self, call: Call[T], timeout: float) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        headers = call.headers
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        again = call.method in {"GET", "PUT", "DELETE"} and self._seconds >= CALL_SECONDS
        tries = TRIES if again else 1
        while True:
            tries -= 1
            try:
                response = self._pool.request(
                    call.method,
                    self.url + call.path,
                    body=None if call.body is None else msgspec.json.encode(call.body),
                    headers=headers,
                    timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout), read=timeout),
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
                return response, b"" if _streams(call, response) else self._read(response)
            except HTTPError as error:
                if tries == 0 or not isinstance(error, (NewConnectionError, ProtocolError)):
                    raise explain(error, self.url) from error
            time.sleep(PAUSE_SECONDS)

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """Read a whole answer; one that is too large or too slow costs its connection."""
        content = bytearray()
        deadline = time.monotonic() + self._seconds
        try:
            while chunk := response.read1(CHUNK):
                check_size(len(content) + len(chunk))
                content += chunk
                self._check_time(deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return bytes(content)

    def _check_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise HubUnreachable(f"the hub at {self.url} answers too slowly; try again later")


def _kind(response: urllib3.BaseHTTPResponse) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _streams(call: Call[T], response: urllib3.BaseHTTPResponse) -> bool:
    return call.stream and response.status < 300 and _kind(response) == "text/event-stream"
