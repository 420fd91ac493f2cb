"""SQLite, the embedded default: one hub, one file.

WAL, one connection (so that transactions queue in the process and never meet SQLITE_BUSY), BEGIN
IMMEDIATE, synchronous=FULL: what was answered survives a power cut.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.engine import Connection as SQLAlchemyConnection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from kworkspace.cli.client.errors import KworkspaceError, Unavailable
from kworkspace.hub.db import migrate
from kworkspace.hub.db.database import Database, Failure
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.sqlite_connection import Connection, connect

QUEUE_SECONDS = 30


class SQLite(Database):
    """An open SQLite file."""

    @classmethod
    async def open(cls, file: Path) -> "SQLite":
        """Open a file, make the tables if it is empty, and check that it is ours.

        Raises:
            DatabaseUnusable: not writable, corrupt, or of another revision than this code.
        """
        try:
            await asyncio.to_thread(_probe, file)
        except sqlite3.Error as error:
            raise _unusable(file, error) from error
        driver = URL.create("sqlite+aiosqlite", database=str(file))
        engine = create_async_engine(
            driver,
            pool_size=1,
            max_overflow=0,
            pool_timeout=QUEUE_SECONDS,
            hide_parameters=True,
            connect_args={"async_creator_fn": lambda *_args, **_kwargs: connect(file)},
        )
        _use_well(engine)
        try:
            await _check(engine, file)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def start(self, session: AsyncSession) -> None:
        """Nothing to do: the first statement begins."""

    def undone(self, error: Failure) -> KworkspaceError:
        """Return what it means that SQLite could not do something."""
        return Unavailable(
            "The hub cannot write to its database; nothing was changed. Try again later,"
            " and tell an admin (is the disk full?)"
        )

    def in_commit(self, error: Failure) -> KworkspaceError:
        """Return the same: a commit that fails was not made."""
        return self.undone(error)


def _probe(file: Path) -> None:
    """Open the file once without aiosqlite, whose thread would outlive a failure and the loop."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA schema_version")


async def _check(engine: AsyncEngine, file: Path) -> None:
    try:
        async with engine.connect() as connection:
            result = await connection.execute(text("PRAGMA quick_check(1)"))
            if (problem := result.scalar_one()) != "ok":
                raise DatabaseUnusable(_corrupt(file, problem))
            await connection.rollback()
            await connection.run_sync(migrate.make_or_check, f"The database {file}")
            await connection.commit()
    except DBAPIError as error:
        raise _unusable(file, error.orig) from error


def _unusable(file: Path, error: BaseException | None) -> DatabaseUnusable:
    if isinstance(error, sqlite3.OperationalError):
        return DatabaseUnusable(
            f"The database {file} cannot be used: {error};"
            " check the directory, its permissions and the free space"
        )
    return DatabaseUnusable(_corrupt(file, error))


def _corrupt(file: Path, problem: object) -> str:
    words = " ".join(str(problem).split())
    return f"The database {file} is corrupt ({words}): restore a copy, or move the file away"


def _use_well(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (
            "busy_timeout = 10000",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: SQLAlchemyConnection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, Connection)
        driver.begin()
