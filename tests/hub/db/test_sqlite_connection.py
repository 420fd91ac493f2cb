"""Statements on SQLite cost one turn of its thread each, and nothing else does but the commit."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kworkspace.hub.db import models as db
from kworkspace.hub.db.sqlite_connection import Connection, connect
from kworkspace.hub.db.store import Store
from tests.hub.conftest import ON_SQLITE
from tests.hub.db.test_store import names, user


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    """A connection to a file with a table."""
    opened = connect(tmp_path / "x.sqlite")
    async with opened:
        await opened.cursor().execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
        yield opened


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What SQLite's thread was asked to do."""
    asked: list[str] = []
    execute = Connection._execute

    async def counted(self: Connection, work: Callable[..., Any], *args: Any) -> Any:
        asked.append(str(args[3]).split()[0] if len(args) > 3 else work.__name__)
        return await execute(self, work, *args)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(Connection, "_execute", counted)
    return asked


async def test_rows_are_there(connection: Connection) -> None:
    cursor = await connection.cursor().executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    assert (cursor.rowcount, await cursor.fetchall()) == (2, [])
    assert cursor.description is None
    cursor = await connection.cursor().execute("SELECT x FROM t WHERE x < ? ORDER BY x", (9,))
    assert cursor.description is not None
    assert [column[0] for column in cursor.description] == ["x"]
    assert await cursor.fetchall() == [(1,), (2,)]
    assert await cursor.fetchall() == []
    cursor = await connection.cursor().execute("INSERT INTO t VALUES (7)")
    assert cursor.lastrowid == 7


async def test_begins_with_its_first_statement(connection: Connection) -> None:
    connection.begin()
    assert not connection.in_transaction
    await connection.cursor().execute("INSERT INTO t VALUES (1)")
    assert connection.in_transaction
    await connection.rollback()
    connection.begin()
    await connection.commit()
    found = await connection.cursor().execute("SELECT x FROM t")
    assert (await found.fetchall(), connection.in_transaction) == ([], False)


async def test_errors_are_sqlites(connection: Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.cursor().execute("SELECT * FROM elsewhere")


@ON_SQLITE
async def test_turns_of_a_transaction(store: Store, turns: list[str]) -> None:
    async with store.begin() as session:
        session.add(user("alice"))
    assert turns == ["INSERT", "commit"]
    turns.clear()
    async with store.begin() as session:
        (await session.scalars(select(db.User))).all()
    assert turns == ["SELECT", "commit"]
    turns.clear()
    async with store.begin():
        pass
    assert turns == []
    assert await names(store) == ["alice"]


@ON_SQLITE
async def test_what_fails_is_taken_back(store: Store, turns: list[str]) -> None:
    async def fail() -> None:
        async with store.begin() as session:
            session.add(user("alice"))
            await session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert turns == ["INSERT", "rollback"]
    assert await names(store) == []
