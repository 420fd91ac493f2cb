"""Who is cancelled leaves the database, its listener and its connection as they should be."""

import asyncio

import pytest
from sqlalchemy import select

from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import Changes
from kworkspace.hub.db.session import to_its_end
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock
from tests.hub.fake_spawner import held_by


@pytest.mark.parametrize("steps", range(0, 60, 2))
async def test_cancelled_at_any_time(
    store: Store, caplog: pytest.LogCaptureFixture, steps: int
) -> None:
    """Either nothing happened, or all of it did and was told; the connection is the same."""
    told: list[str] = []

    def listen(changes: Changes) -> None:
        told.extend(item.name for item in changes.saved if isinstance(item, db.User))

    async def add() -> None:
        async with store.begin() as session:
            await session.get(db.User, 1)
            await session.scalars(select(db.User))
            session.add(db.User(name="alice", created=Clock().now))
            await session.flush()
            session.add(db.User(name="bob", created=Clock().now))

    async def connection() -> object:
        async with store._engine.connect() as connected:
            return (await connected.get_raw_connection()).driver_connection

    before = await connection()
    store.on_commit = listen
    task = asyncio.get_running_loop().create_task(add())
    for _ in range(steps):
        await asyncio.sleep(0.0001)
    task.cancel()
    await asyncio.wait([task])
    async with store.begin() as session:
        names = list((await session.scalars(select(db.User.name).order_by(db.User.id))).all())
    assert names == told
    assert names in ([], ["alice", "bob"])
    assert await connection() is before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_to_its_end() -> None:
    done = asyncio.Event()
    go_on = asyncio.Event()

    async def work() -> str:
        await held_by(go_on)(None)
        done.set()
        return "result"

    task = asyncio.get_running_loop().create_task(to_its_end(work()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    assert await to_its_end(work()) == "result"


async def test_errors_come_through(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await to_its_end(fail())
    assert caplog.text == ""
