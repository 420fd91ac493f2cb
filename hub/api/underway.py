"""The requests under way, and the end of them: none that was taken is dropped unanswered.

Every handler's run is counted here. When the process has been told to end, requests that only wait
are answered with how things stand; when nothing else needs the hub, new ones are refused, those
under way get a moment, and only then are connections closed.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tornado.httpserver import HTTPServer

from kworkspace.cli.client.errors import Unavailable

ANSWER_SECONDS = 5.0  # a database may be slow; `stop.LIMIT_SECONDS` bounds it all
SEND_SECONDS = 1.0
_POLL_SECONDS = 0.01


class UnderWay:
    """The requests of this process."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()
        self._refuses = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a request for the time of a block."""
        self._open += 1
        self._none.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._none.set()

    def check(self) -> None:
        """See that requests are still taken.

        Raises:
            Unavailable: not any more; nothing was done for this one.
        """
        if self._refuses:
            raise Unavailable("The hub is ending; try again in a few seconds")

    async def drain(self, server: HTTPServer) -> None:
        """Take no more, let those under way be answered, and close all connections.

        Args:
            server: no longer listening.
        """
        self._refuses = True
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._none.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(SEND_SECONDS):
                while any(one.stream.writing() for one in server._connections):  # noqa: SLF001, ASYNC110  Tornado closes over what is not sent yet, and has no event for it
                    await asyncio.sleep(_POLL_SECONDS)
        await server.close_all_connections()
