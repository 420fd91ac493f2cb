"""The asynchronous transport, on aiohttp: for the gateway and the services.

Needs the extra `kworkspace[async]`. Every call has a timeout; a stream has one for silence. The
token is read from its file again after a 401, so that a hub that was restarted can renew it.
"""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self, TypeVar

import aiohttp
import msgspec

from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import HubUnreachable, Unauthorized
from kworkspace.cli.client.replies import check_size, decode_error, decode_json, decode_reply
from kworkspace.cli.client.sse import EventDecoder

T = TypeVar("T")

CALL_SECONDS = 30.0
SILENCE_SECONDS = 60.0


class AsyncClient:
    """A connection pool to one hub.

    Args:
        url: the hub's URL, without `/hub/api`.
        token_file: a 0600 file with the API token.
    """

    def __init__(self, url: str, token_file: Path) -> None:
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._token = token_file.read_text().strip()
        # What is not compressed is as large as what arrives: its size can be bounded.
        self._session = aiohttp.ClientSession(
            auto_decompress=False, headers={"Accept-Encoding": "identity"}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the pool."""
        await self._session.close()

    async def send(self, call: Call[T], timeout: float = CALL_SECONDS) -> T:
        """Make one call.

        Args:
            call: from `calls`.
            timeout: seconds for the whole of it.

        Raises:
            KworkspaceError: what the hub answered, or HubUnreachable.
        """
        try:
            return await self._send(call, timeout)
        except Unauthorized:
            if not self._renew_token():
                raise
            return await self._send(call, timeout)

    async def _send(self, call: Call[T], timeout: float) -> T:
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._request(call, limit) as response:
                body = await _read(response)
                return decode_reply(call, response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    async def stream(self, call: Call[T]) -> AsyncGenerator[T, None]:
        """Yield the events of a stream until the hub ends it.

        Raises:
            KworkspaceError: what the hub answered, or HubUnreachable, also when the stream breaks.
        """
        limit = aiohttp.ClientTimeout(total=None, connect=CALL_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            async with self._request(call, limit) as response:
                if response.status >= 400:
                    body = await _read(response)
                    error = decode_error(call, response.status, response.headers, body)
                    if isinstance(error, Unauthorized):
                        self._renew_token()
                    raise error
                decoder = EventDecoder()
                async for chunk in response.content.iter_any():
                    for event in decoder.feed(chunk):
                        yield decode_json(event, call.reply)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            raise self._unreachable(error) from error

    def _request(
        self, call: Call[T], limit: aiohttp.ClientTimeout
    ) -> "aiohttp.client._RequestContextManager":
        headers = {**call.headers, "Authorization": f"Bearer {self._token}"}
        return self._session.request(
            call.method,
            self._url + call.path,
            data=None if call.body is None else msgspec.json.encode(call.body),
            headers=headers,
            timeout=limit,
            allow_redirects=False,
        )

    def _renew_token(self) -> bool:
        try:
            token = self._token_file.read_text().strip()
        except OSError:
            return False
        changed, self._token = token != self._token, token
        return changed

    def _unreachable(self, error: Exception) -> HubUnreachable:
        return HubUnreachable(f"The hub at {self._url} does not answer: {error or type(error)}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        check_size(len(content) + len(chunk))
        content += chunk
    return bytes(content)
