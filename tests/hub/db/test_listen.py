"""Messages between hubs on one Postgres; connections that break are made again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.bus import MOST_BYTES
from kworkspace.hub.db import models as db
from kworkspace.hub.db.listen import MOST_WAITING, PostgresBus
from kworkspace.hub.db.store import Store
from kworkspace.hub.readmodel import ReadModel
from tests.hub.clock import DEADLINE, Clock, until
from tests.hub.conftest import ON_POSTGRES

pytestmark = ON_POSTGRES


class Ear:
    """Hears one topic on a bus."""

    def __init__(self, store: Store) -> None:
        self.bus = store.bus
        self.heard: list[bytes] = []
        self.bus.subscribe("topic", self.heard.append)


@pytest.fixture
async def stores(database: str) -> AsyncIterator[list[Store]]:
    """Two hubs that listen."""
    tasks, opened = Tasks(), [await Store.open(database) for _ in range(2)]
    for store in opened:
        tasks.spawn(store.keep(), "keep in step")
    await listening(opened[0], 2)
    yield opened
    await tasks.aclose()
    for store in opened:
        await store.aclose()


async def listeners(store: Store) -> list[int]:
    """The server's processes that listen."""
    query = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND query <> '' AND application_name = 'kworkspace-hub bus'"
    )
    async with store.begin() as session:
        return list((await session.scalars(query)).all())


async def listening(store: Store, many: int) -> None:
    async with asyncio.timeout(DEADLINE):
        while len(await listeners(store)) != many:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)


async def test_messages_come_in_order(stores: list[Store]) -> None:
    ours, theirs = Ear(stores[0]), Ear(stores[1])
    messages = [f"{number % 3} é".encode() for number in range(300)]
    for message in messages:
        ours.bus.publish("topic", message)
    assert ours.heard == messages, "heard here at once, and once"
    await until(lambda: len(theirs.heard) >= len(messages))
    assert theirs.heard == messages
    assert ours.heard == messages


async def test_the_longest(stores: list[Store]) -> None:
    theirs = Ear(stores[1])
    stores[0].bus.publish("topic", b"x" * MOST_BYTES)
    await until(lambda: theirs.heard)
    with pytest.raises(ValueError, match="has 7001 bytes"):
        stores[0].bus.publish("topic", b"x" * (MOST_BYTES + 1))


async def test_a_connection_that_breaks(
    stores: list[Store], caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Ear(stores[1])
    before = await listeners(stores[0])
    async with stores[0].begin() as session:
        for pid in before:
            await session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    async with asyncio.timeout(DEADLINE):
        while set(now := await listeners(stores[0])) & set(before) or len(now) != 2:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.02)
    stores[0].bus.publish("topic", b"again")
    await until(lambda: b"again" in theirs.heard)
    assert "The connection to other hubs broke" in caplog.text


async def test_a_lost_notification_heals(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells of the change; the next look finds it."""
    ours, theirs = stores
    readmodel = ReadModel()
    await readmodel.load(ours)
    assert theirs._journal is not None
    monkeypatch.setattr(theirs._journal, "_channel", "nobody_listens")
    async with theirs.begin() as session:
        session.add(db.User(name="alice", created=Clock().now))
    await until(lambda: readmodel.user("alice"))


async def test_news_come_at_once(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kworkspace.hub.db.journal.LOOK_SECONDS", 3600)
    ours, theirs = stores
    readmodel = ReadModel()
    await readmodel.load(ours)
    assert ours._journal is not None
    ours._journal.wake()  # out of the wait that is not as long yet
    await asyncio.sleep(0.1)
    async with theirs.begin() as session:
        session.add(db.User(name="alice", created=Clock().now))
    await until(lambda: readmodel.user("alice"))


async def test_too_many_wait(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """While the database is away the oldest go, and the log says how many."""
    store = await Store.open(database)
    other = await Store.open(database)
    theirs = Ear(other)
    tasks = Tasks()
    tasks.spawn(other.keep(), "keep in step")
    await listening(store, 1)
    for number in range(MOST_WAITING + 5):
        store.bus.publish("topic", f"{number}".encode())
    assert isinstance(store.bus, PostgresBus)
    tasks.spawn(store.bus.keep(), "carry messages")
    await until(lambda: len(theirs.heard) == MOST_WAITING)
    assert theirs.heard[0] == b"5"
    assert "5 messages to other hubs were too many" in caplog.text
    await tasks.aclose()
    await store.aclose()
    await other.aclose()
