"""Streams of server-sent events: kept alive while nothing happens, ended when somebody leaves.

A proxy closes a silent connection and a client takes silence for death, so a comment goes out now
and then. At shutdown all streams end, so that the process can.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, TypeVar

from kworkspace.cli.client.tasks import Tasks

T = TypeVar("T")

KEEP_ALIVE_SECONDS = 15.0


class Streams:
    """The open streams of this process."""

    def __init__(self) -> None:
        self._ends: set[asyncio.Future[None]] = set()
        self._tasks = Tasks()

    def new_end(self) -> "asyncio.Future[None]":
        """Return a future whose result ends the stream that is given it."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        return end

    async def until(
        self, end: "asyncio.Future[None]", events: AsyncIterator[T]
    ) -> AsyncGenerator[T | None, None]:
        """Yield the events until they or the stream end; None now and then while there is none."""
        upcoming: asyncio.Task[T] | None = None
        try:
            while not end.done():
                if upcoming is None:
                    upcoming = self._tasks.spawn(_next(events), "next event of a stream")
                either: set[asyncio.Future[Any]] = {upcoming, end}
                await asyncio.wait(
                    either, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if end.done():
                    return
                if not upcoming.done():
                    yield None
                    continue
                done, upcoming = upcoming, None
                item = done.result()
                if item is _END:
                    return
                yield item
        finally:
            if upcoming is not None:
                upcoming.cancel()
                with suppress(asyncio.CancelledError):
                    await upcoming
            if isinstance(events, AsyncGenerator):
                await events.aclose()
            end.cancel()

    async def aclose(self) -> None:
        """End all streams."""
        for end in list(self._ends):
            if not end.done():
                end.set_result(None)
        await self._tasks.aclose()


_END: object = object()


async def _next(events: AsyncIterator[T]) -> T:
    # A task must not raise StopAsyncIteration.
    return await anext(events, _END)  # type: ignore[arg-type]
