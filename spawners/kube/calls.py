"""One call to the API server: tried within a time limit, and tried again where that can help.

Used by `client`, which knows what the calls are. What failed in passing (too many requests, an
error of the server, a broken connection) is made again for some seconds, where made twice it has
the same outcome as made once; after a 401 the credentials are read anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from kworkspace.spawners.kube.errors import ApiError, Call, NotFoundInCluster
from kworkspace.spawners.kube.retry import pause, worth_it
from kworkspace.spawners.kube.transport import CONNECT_SECONDS, Failed, Transport

AT_ONCE = 64

Object = dict[str, Any]
T = TypeVar("T")

_object = msgspec.json.Decoder(Object)
_encode = msgspec.json.Encoder().encode


class Calls:
    """Makes calls, so many at once.

    Args:
        transport: single tries.
        timeout: seconds that one try may take.
        retry_seconds: for which a call that failed in passing is made again.
    """

    def __init__(self, transport: Transport, *, timeout: float, retry_seconds: float) -> None:
        self._transport = transport
        self._limit = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS)
        self._retry_seconds = retry_seconds
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def send(
        self,
        call: Call,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        repeatable: bool,
    ) -> Object:
        """Make a call whose answer is an object, and return that.

        Args:
            call: for messages.
            method: of HTTP.
            path: below the server's URL.
            query: parameters.
            body: to be encoded.
            content_type: of the body.
            repeatable: whether made twice it has the same outcome as made once.

        Raises:
            ApiError: the cluster refuses it or cannot be reached.
        """
        return await self.ask(
            call,
            method,
            path,
            _object,
            query=query,
            body=body,
            content_type=content_type,
            repeatable=repeatable,
            gone={} if method == "DELETE" else None,
        )

    async def ask(
        self,
        call: Call,
        method: str,
        path: str,
        decoder: "msgspec.json.Decoder[T]",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        repeatable: bool,
        gone: T | None = None,
    ) -> T:
        """Make a call as `send` does, and decode its answer.

        Args:
            call: see `send`.
            method: see `send`.
            path: see `send`.
            decoder: of the answer.
            query: see `send`.
            body: see `send`.
            content_type: see `send`.
            repeatable: see `send`.
            gone: the answer where a call is made again and finds its object gone.
        """
        encoded = None if body is None else _encode(body)

        async def attempt() -> T:
            async with (
                self._turn,
                self._transport.request(
                    call,
                    method,
                    path,
                    query=query,
                    body=encoded,
                    content_type=content_type,
                    timeout=self._limit,
                ) as response,
            ):
                answer = await response.read()
            try:
                return decoder.decode(answer)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise self.senseless(call) from error

        return await self.again(attempt, repeatable=repeatable, gone=gone)

    async def again(
        self, attempt: Callable[[], Awaitable[T]], *, repeatable: bool, gone: T | None = None
    ) -> T:
        """Try, and try again what failed in passing.

        Args:
            attempt: raises Failed.
            repeatable: see `send`.
            gone: see `ask`.
        """
        now = asyncio.get_running_loop().time
        deadline, tries, renewed = now() + self._retry_seconds, 0, False
        while True:
            try:
                return await attempt()
            except Failed as failed:
                failure = failed.failure
            if tries and gone is not None and isinstance(failure.error, NotFoundInCluster):
                return gone  # a try whose answer was lost has done it
            tries += 1
            wait = pause(failure, tries)
            if failure.renewed and not renewed:
                renewed, wait = True, 0.0
            elif not worth_it(failure, repeatable=repeatable) or now() + wait > deadline:
                raise failure.error from failure.error.__cause__
            await asyncio.sleep(wait)

    def senseless(self, call: Call) -> ApiError:
        """Return the error of an answer that cannot be decoded."""
        return ApiError(
            f"What answers at {self._transport.server} is not a Kubernetes API server (asked to"
            f" {call})",
            http_status=200,
        )
