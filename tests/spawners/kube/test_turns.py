"""A few at a time, in the order in which they came; who is slow, or cancelled, keeps nobody."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import turns
from kworkspace.spawners.kube.turns import Turns

DEADLINE = 10.0


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Their owner."""
    owner = Tasks()
    yield owner
    await owner.aclose()


class Work:
    """What is done in turns; each ends when it is told to."""

    def __init__(self, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turns, "AT_ONCE", at_once)
        self.turns = Turns()
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.end = [asyncio.Event() for _ in range(4)]

    async def do(self, number: int) -> None:
        async with self.turns.one():
            self.begun.put_nowait(number)
            await self.end[number].wait()

    async def next(self) -> int:
        """Return who begins next."""
        async with asyncio.timeout(DEADLINE):
            return await self.begun.get()


async def test_a_few_at_a_time(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLOW_SECONDS", 3600)
    work = Work(2, monkeypatch)
    doing = [tasks.spawn(work.do(number), "work") for number in range(4)]
    assert [await work.next(), await work.next()] == [0, 1]
    for _ in range(10):
        await asyncio.sleep(0)
    assert work.begun.empty()
    doing[2].cancel()
    work.end[1].set()
    assert await work.next() == 3
    work.end[0].set()
    work.end[3].set()
    await asyncio.wait(doing)
    assert work.turns._free._value == 2


async def test_who_is_slow_keeps_nobody(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SLOW_SECONDS", 0.001)
    work = Work(1, monkeypatch)
    doing = [tasks.spawn(work.do(number), "work") for number in range(3)]
    assert [await work.next() for _ in doing] == [0, 1, 2]
    for end in work.end:
        end.set()
    await asyncio.wait(doing)
    assert work.turns._free._value == 1
