"""One holder at a time, until it is given back or over."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.db import models as db
from kworkspace.hub.db.moment import is_shared
from kworkspace.hub.db.store import Store
from kworkspace.hub.leases import LeaseLost, Leases, machine, new_holder, same_machine
from tests.hub.clock import Clock, until
from tests.hub.conftest import ON_POSTGRES


@pytest.fixture
def ours(store: Store, clock: Clock) -> Leases:
    return Leases(store=store, clock=clock, holder="us", seconds=30)


@pytest.fixture
def theirs(store: Store, clock: Clock) -> Leases:
    return Leases(store=store, clock=clock, holder="them", seconds=30)


async def require(store: Store, leases: Leases) -> None:
    async with store.begin() as session:
        await leases.require(session, "work")


async def pass_time(store: Store, clock: Clock, seconds: float) -> None:
    """Have time go by on the clock that counts."""
    clock.advance(seconds)
    async with store.begin() as session:
        if is_shared(session):
            for lease in await session.scalars(select(db.Lease)):
                lease.expires -= timedelta(seconds=seconds)


async def test_only_one_holds_it(store: Store, ours: Leases, theirs: Leases) -> None:
    claims = await asyncio.gather(*(leases.claim("work") for leases in (ours, theirs) * 5))
    assert claims in ([True, False] * 5, [False, True] * 5)
    first, second = (ours, theirs) if claims[0] else (theirs, ours)
    assert await first.claim("work"), "again"
    assert await second.claim("other work")
    await require(store, first)
    with pytest.raises(LeaseLost):
        await require(store, second)


async def test_claimed_anew_while_it_is_given_back(store: Store, ours: Leases) -> None:
    """What is given back last is not taken to be ours, whoever has begun first."""
    assert await ours.claim("work")
    async with store.begin() as session:
        await ours.claim_in(session, "work")
        giving_back = asyncio.get_running_loop().create_task(ours.release("work"))
        await asyncio.sleep(0.05)  # as far as it comes: it waits for this transaction
        assert ours.has("work")
    await giving_back
    async with store.begin() as session:
        assert ours.has("work") == bool(await ours.held_in(session, ["work"]))


async def test_it_is_over_when_it_is_not_renewed(
    store: Store, ours: Leases, theirs: Leases, clock: Clock
) -> None:
    assert await ours.claim("work")
    await pass_time(store, clock, 28)
    assert not await theirs.claim("work")
    await pass_time(store, clock, 2)
    await require(store, ours)  # nobody has taken it
    assert await theirs.claim("work")
    assert not await ours.claim("work")
    with pytest.raises(LeaseLost):
        await require(store, ours)


@ON_POSTGRES
async def test_no_hubs_clock_counts(ours: Leases, theirs: Leases, clock: Clock) -> None:
    assert await ours.claim("work")
    clock.jump(86400)
    assert not await theirs.claim("work")
    assert await theirs.claim("other work")
    clock.jump(-2 * 86400)
    assert not await ours.claim("other work")


async def test_given_back(store: Store, ours: Leases, theirs: Leases) -> None:
    assert await ours.claim("work")
    await theirs.release("work")
    await require(store, ours)
    await ours.release("work")
    with pytest.raises(LeaseLost):
        await require(store, ours)
    assert await theirs.claim("work")
    await ours.clear()
    with pytest.raises(LeaseLost):
        await require(store, theirs)


async def test_claim_that_is_rolled_back_is_none(store: Store, ours: Leases) -> None:
    async def fail() -> None:
        async with store.begin() as session:
            assert await ours.claim_in(session, "work")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(LeaseLost):
        await require(store, ours)
    assert ours._ours == set()


async def test_who_has_lost_one_is_told(
    store: Store, ours: Leases, theirs: Leases, clock: Clock
) -> None:
    for name in ("work", "more work", "given back"):
        assert await ours.claim(name)
    await ours.release("given back")
    await pass_time(store, clock, 31)
    assert await ours.renew() == {}, "over, but nobody has taken it"
    await pass_time(store, clock, 31)
    assert await theirs.claim("work")
    assert await theirs.claim("given back")
    assert await ours.renew() == {"work": "them"}
    assert await ours.renew() == {}
    assert not await theirs.claim("more work")


async def expires(store: Store) -> object:
    async with store.begin() as session:
        lease = await session.get(db.Lease, "work")
    assert lease is not None
    return lease.expires


async def test_kept(
    store: Store, clock: Clock, theirs: Leases, caplog: pytest.LogCaptureFixture
) -> None:
    """Renewed in time, also after a renewal that failed; a loss is told."""
    ours = Leases(store=store, clock=clock, holder="us", seconds=0.3)
    lost: list[tuple[str, str]] = []
    ours.on_lost(lambda name, holder: lost.append((name, holder)))
    assert await ours.claim("work")
    until_then = await expires(store)
    begin, failures = store.begin, [1]

    def fail_once() -> object:
        if failures:
            failures.pop()
            raise Unavailable("the disk is full")
        return begin()

    tasks = Tasks()
    clock.advance(0.1)
    store.begin = fail_once  # type: ignore[method-assign,assignment]
    tasks.spawn(ours.keep(), "renew")
    await until(lambda: "could not be renewed: the disk is full" in caplog.text)
    for _ in range(1000):
        if await expires(store) != until_then:
            break
        await asyncio.sleep(0.005)
    async with store.begin() as session:
        await ours.require(session, "work")
        lease = await session.get(db.Lease, "work")
        assert lease is not None
        lease.holder = "them"
    await until(lambda: lost)
    await tasks.aclose()
    assert lost == [("work", "them")]


async def test_purge(store: Store, ours: Leases, clock: Clock) -> None:
    assert await ours.claim("work")
    await pass_time(store, clock, 60)
    await ours.purge(timedelta(hours=1))
    await require(store, ours)
    await ours.purge(timedelta(seconds=20))
    with pytest.raises(LeaseLost):
        await require(store, ours)


def test_holders() -> None:
    one, other = new_holder(), new_holder()
    assert one != other
    assert len(one) <= 64
    assert same_machine(one, other)
    assert one.startswith(machine())
    assert not same_machine(one, "elsewhere-" + other)
