"""SQLite, used so that nothing is lost; a full disk and a broken file are one line."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db import models as db
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.store import Store
from kworkspace.hub.db.url import sqlite_file
from tests.hub.clock import Clock, until
from tests.hub.conftest import ON_SQLITE
from tests.hub.db.test_store import names, user
from tests.hub.parts import Parts


@ON_SQLITE
async def test_sqlite_is_used_well(store: Store) -> None:
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10000}
    async with store.begin() as session:
        found = {name: (await session.scalars(text(f"PRAGMA {name}"))).one() for name in wanted}
    assert found == wanted


@ON_SQLITE
async def test_errors_repeat_no_values(store: Store) -> None:
    """They are logged, and a row may hold what is nobody else's to read."""
    with pytest.raises(IntegrityError) as caught:
        async with store.begin() as session:
            session.add_all([user("somebody"), user("somebody")])
    assert "somebody" not in str(caught.value)


@asynccontextmanager
async def full_disk(store: Store) -> AsyncIterator[None]:
    """Let the database not grow: SQLite then answers as on a full disk (SQLITE_FULL)."""
    async with store._engine.connect() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    try:
        yield
    finally:
        async with store._engine.connect() as connection:
            await connection.execute(text("PRAGMA max_page_count = 1073741823"))


async def fill(store: Store) -> None:
    """Use up the room in the pages that there are: every change writes an event."""

    async def write(size: int) -> None:
        for _ in range(1000):
            event = db.Event(at=Clock().now, action="", outcome="", actor="", message="x" * size)
            async with store.begin() as session:
                session.add(event)

    for size in (1000, 10):
        with pytest.raises(Unavailable, match=r"cannot write .* nothing was changed"):
            await write(size)


@ON_SQLITE
async def test_full_disk(parts: Parts) -> None:
    store = parts.store

    async def change_much() -> None:
        async with store.begin() as session:
            await session.execute(text("UPDATE users SET admin = 1"))
            session.add_all(user(f"user{number}" * 20) for number in range(100))

    async with full_disk(store):
        await fill(store)
        with pytest.raises(Unavailable):
            await change_much()
        assert await names(store) == ["ada", "alice", "bob"]
        async with store.begin() as session:
            admins = (await session.scalars(select(db.User.name).where(db.User.admin))).all()
        assert admins == []
        assert parts.readmodel.server_of("alice", "") is None
    await parts.ready()


@ON_SQLITE
async def test_driver_goes_on_after_a_full_disk(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A start that was accepted is finished when there is room again, and started once."""
    monkeypatch.setattr("kworkspace.hub.driver.RETRY_SECONDS", (0.01,))

    held = asyncio.Event()

    async def hold(_: object) -> None:
        await held.wait()

    parts.spawner.behaviour = hold
    row = await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    async with full_disk(parts.store):
        await fill(parts.store)
        held.set()
        await until(lambda: caplog.text.count("; again in") >= 3)
        waiting = parts.readmodel.server(row.id)
        assert waiting is not None
        assert waiting.state is ServerState.STARTING
        uid = parts.spawner.world[row.id].object_uid
    settled = await parts.settled()
    assert (settled.state, settled.object_uid) == (ServerState.READY, uid)


async def open_and_close(file: Path) -> None:
    await (await Store.open(f"sqlite:///{file}")).aclose()


async def test_not_a_database(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    file.write_text("this is no database at all, but it is long enough" * 100)
    with pytest.raises(DatabaseUnusable, match=r"hub\.sqlite is corrupt \(file is not a database"):
        await open_and_close(file)
    assert file.read_text().startswith("this is")


@ON_SQLITE
async def test_corrupt(database: str) -> None:
    file = sqlite_file(database)
    assert file is not None
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 8192)
    with pytest.raises(DatabaseUnusable, match=r"is corrupt .*: restore a copy"):
        await open_and_close(file)


async def test_somebody_elses(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE things (id INTEGER)")
    connection.close()
    with pytest.raises(DatabaseUnusable, match="is not a hub's: it has tables of something else"):
        await open_and_close(file)


async def test_no_directory_and_not_a_file(tmp_path: Path) -> None:
    for file in (tmp_path / "missing/hub.sqlite", tmp_path):
        with pytest.raises(DatabaseUnusable, match="cannot be used: unable to open database file"):
            await open_and_close(file)


@ON_SQLITE
async def test_not_writable(store: Store) -> None:
    async with store._engine.connect() as connection:
        await connection.execute(text("PRAGMA query_only = 1"))
    with pytest.raises(Unavailable):
        async with store.begin() as session:
            session.add(user("alice"))
