"""What is asked for while a call is under way is asked for at once, and each hears its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub import together
from kworkspace.hub.together import Together


class Work:
    """Calls that take as long as the test wants."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.goes_on = asyncio.Event()
        self.begun = asyncio.Event()
        self.error: Exception | None = None
        self.refused = ValueError()

    async def __call__(self, items: Sequence[str]) -> Sequence[str | Exception]:
        self.calls.append("".join(items))
        self.begun.set()
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        return [self.refused if item == "!" else item.upper() for item in items]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Their owner."""
    owner = Tasks()
    yield owner
    await owner.aclose()


async def test_who_comes_meanwhile_is_in_the_next(tasks: Tasks) -> None:
    work = Work()
    ask = Together(work, tasks)
    first = tasks.spawn(ask("a"), "a")
    await work.begun.wait()
    others = [tasks.spawn(ask(key), key) for key in "cbbad"]
    await asyncio.sleep(0)
    work.goes_on.set()
    assert await first == "A"
    assert await asyncio.gather(*others) == ["C", "B", "B", "A", "D"]
    assert work.calls == ["a", "cbbad"]
    assert await ask("e") == "E"


async def test_not_too_many(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MOST", 2)
    work = Work()
    work.goes_on.set()
    assert await asyncio.gather(*map(Together(work, tasks), "edcba")) == [*"EDCBA"]
    assert work.calls == ["ed", "cb", "a"]


async def test_failure_is_heard_by_all_who_asked(tasks: Tasks) -> None:
    work = Work()
    work.error = ZeroDivisionError()
    ask = Together(work, tasks)
    work.goes_on.set()
    heard = await asyncio.gather(ask("a"), ask("b"), return_exceptions=True)
    assert [*heard] == [work.error] * 2
    work.error = None
    assert await ask("a") == "A"


async def test_one_that_breaks_the_call_breaks_nobody_elses(tasks: Tasks) -> None:
    async def work(items: Sequence[str]) -> Sequence[str | Exception]:
        if "0" in items:
            raise ZeroDivisionError
        return [*items]

    ask = Together(work, tasks)
    heard = await asyncio.gather(ask("a"), ask("0"), ask("b"), return_exceptions=True)
    assert (heard[0], type(heard[1]), heard[2]) == ("a", ZeroDivisionError, "b")


async def test_what_the_call_refuses_is_not_tried_again(tasks: Tasks) -> None:
    work = Work()
    work.error = Unavailable("too much to do")
    work.goes_on.set()
    ask = Together(work, tasks)
    heard = await asyncio.gather(ask("a"), ask("b"), return_exceptions=True)
    assert [*heard] == [work.error] * 2
    assert work.calls == ["ab"]


async def test_failure_of_one(tasks: Tasks) -> None:
    work = Work()
    work.goes_on.set()
    ask = Together(work, tasks)
    heard = await asyncio.gather(ask("a"), ask("!"), ask("b"), return_exceptions=True)
    assert [*heard] == ["A", work.refused, "B"]


async def test_who_is_cancelled_ends_nothing(tasks: Tasks) -> None:
    work = Work()
    ask = Together(work, tasks)
    waiting = [tasks.spawn(ask("a"), "a") for _ in range(2)]
    await work.begun.wait()
    waiting[0].cancel()
    work.goes_on.set()
    assert await waiting[1] == "A"
    assert waiting[0].cancelled()


async def test_nobody_waits_when_it_ends(tasks: Tasks) -> None:
    work, owner = Work(), Tasks()
    ask = Together(work, owner)
    under_way = tasks.spawn(ask("a"), "a")
    await work.begun.wait()
    next_one = tasks.spawn(ask("b"), "b")
    await asyncio.sleep(0)
    await owner.aclose()
    await asyncio.wait([under_way, next_one])
    assert under_way.cancelled()
    assert next_one.cancelled()
