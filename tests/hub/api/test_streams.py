"""Streams are kept alive, and end when they should."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from kworkspace.hub.api import streams as module
from kworkspace.hub.api.streams import Streams
from tests.hub.fake_spawner import forever


class Events:
    """A source that says when it was closed."""

    def __init__(self, *items: str, ends: bool = True) -> None:
        self.items, self.ends, self.closed = items, ends, False

    async def __call__(self) -> AsyncGenerator[str, None]:
        try:
            for item in self.items:
                yield item
            if not self.ends:
                await forever()
        finally:
            self.closed = True


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    streams = Streams()
    yield streams
    assert streams._ends == set()
    assert streams._tasks._tasks == set()


async def test_to_their_end(streams: Streams) -> None:
    events = Events("a", "b")
    assert [item async for item in streams.until(streams.new_end(), events())] == ["a", "b"]
    assert events.closed


async def test_kept_alive(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_SECONDS", 0.01)
    events = Events("a", ends=False)
    end = streams.new_end()
    seen = []
    async for item in streams.until(end, events()):
        seen.append(item)
        if len(seen) == 4:
            end.set_result(None)
    assert seen == ["a", None, None, None]
    assert events.closed


async def test_ended_from_outside(streams: Streams) -> None:
    """At shutdown each stream ends, whether it waits or has something to say."""
    many = [Events("a", ends=False) for _ in range(5)]
    began = asyncio.Event()

    async def consume(events: Events) -> list[str | None]:
        seen = []
        async for item in streams.until(streams.new_end(), events()):
            seen.append(item)
            began.set()
        return seen

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(consume(events)) for events in many]
        await began.wait()
        await asyncio.sleep(0)
        await streams.aclose()
    assert [task.result() for task in tasks] == [["a"]] * 5
    assert all(events.closed for events in many)


async def test_error_of_the_source_comes_through(streams: Streams) -> None:
    async def fail() -> AsyncGenerator[str, None]:
        yield "a"
        raise ZeroDivisionError

    stream = streams.until(streams.new_end(), fail())
    assert await anext(stream) == "a"
    with pytest.raises(ZeroDivisionError):
        await anext(stream)


async def test_given_up_by_the_consumer(streams: Streams) -> None:
    events = Events("a", ends=False)
    stream = streams.until(streams.new_end(), events())
    assert await anext(stream) == "a"
    await stream.aclose()
    assert events.closed
