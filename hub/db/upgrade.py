"""Brings an older database to the revision of this code; `kworkspace-hub upgrade-db` calls it.

A copy is made first: of an SQLite file with SQLite's own backup, of a Postgres database with
pg_dump(1), whose file pg_restore(1) reads. The migration is one transaction: it happens whole or
not at all. Nothing is touched while a hub lives on the database.
"""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from kworkspace.hub.clock import Clock
from kworkspace.hub.db import migrate, postgres
from kworkspace.hub.db.errors import DatabaseUnusable, Lost
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.url import postgres_address, shown, sqlite_file

_LEASES = "SELECT count(*) FROM leases WHERE expires > :now"
_WORDS = 300


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done.

    Attributes:
        name: what messages call the database.
        before: its revision then, None if it was empty.
        copy: the copy's file, None if none was made.
    """

    name: str
    before: str | None
    copy: Path | None


async def upgrade(url: str, *, copies: Path, copy: bool, clock: Clock) -> Upgraded:
    """Bring a database to the revision of this code; one that has it is left alone.

    Args:
        url: as for `Store.open`. Of an SQLite file the caller holds the lock.
        copies: the directory for the copy of a Postgres database; SQLite's is beside its file.
        copy: whether to make one.
        clock: now, for the copy's name.

    Raises:
        DatabaseUnusable: it cannot be reached, is not a hub's or newer than this code, a hub lives
            on it, or the copy cannot be made; nothing was changed.
    """
    file = sqlite_file(url)
    if file is not None:
        return await asyncio.to_thread(_sqlite, file, copy=copy, now=clock())
    return await _postgres(url, copies=copies, copy=copy, now=clock())


def _copy_name(name: str, revision: str, now: datetime) -> str:
    return f"{name}.{revision}.{now:%Y%m%dT%H%M%SZ}"


def _sqlite(file: Path, *, copy: bool, now: datetime) -> Upgraded:
    name = f"The database {file}"
    if not file.is_file():
        raise DatabaseUnusable(f"{name} does not exist: check c.Hub.db_url and c.Hub.data_dir")
    engine = create_engine(URL.create("sqlite", database=str(file)), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN, not the driver's

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    made: Path | None = None
    try:
        with engine.connect() as connection:
            current = migrate.current_revision(connection, name)
            if current is None or current == migrate.REVISION:
                return Upgraded(name, current, None)
            if copy:
                made = file.with_name(_copy_name(file.name, current, now))
                _copy_sqlite(file, made)
            connection.rollback()
            with connection.begin():  # or Alembic begins transactions of its own
                migrate.upgrade(connection, migrate.REVISION)
    except DBAPIError as error:
        raise DatabaseUnusable(
            f"{name} cannot be upgraded ({error.orig}); nothing was changed in it"
        ) from error
    return Upgraded(name, current, made)


def _copy_sqlite(file: Path, copy: Path) -> None:
    """Copy a database, whatever of it is still in the WAL included.

    Raises:
        DatabaseUnusable: it cannot be done; nothing is left of the copy.
    """
    _make_file(copy)
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        copy.unlink()
        raise _no_copy(copy, str(error)) from error


async def _postgres(url: str, *, copies: Path, copy: bool, now: datetime) -> Upgraded:
    name = f"The database {shown(url)}"
    engine = postgres.make_engine(postgres_address(url))
    made: Path | None = None
    try:
        async with engine.connect() as connection:
            await connection.execute(postgres.PATIENCE)
            await serialize(connection, "migrate")
            current = await connection.run_sync(migrate.current_revision, name)
            if current is None or current == migrate.REVISION:
                return Upgraded(name, current, None)
            await _check_nobody(connection, name, now)
            if copy:
                database = urlsplit(url).path.lstrip("/") or "hub"
                made = copies / f"{_copy_name(database, current, now)}.dump"
                await _dump(url, made)
            await connection.run_sync(migrate.upgrade, migrate.REVISION)
            await connection.commit()
    except (DBAPIError, Lost, OSError) as error:
        raise postgres.unusable(shown(url), error) from error
    finally:
        await engine.dispose()
    return Upgraded(name, current, made)


async def _check_nobody(connection: AsyncConnection, name: str, now: datetime) -> None:
    """See that no hub lives on it: each one renews leases."""
    if (await connection.execute(text(_LEASES), {"now": now})).scalar_one():
        raise DatabaseUnusable(
            f"{name} is in use by a hub: end all of its hubs first (one that was killed counts"
            " for 15 seconds more)"
        )


async def _dump(url: str, copy: Path) -> None:
    """Have pg_dump(1) write a copy.

    Raises:
        DatabaseUnusable: it is not there, or failed; nothing is left of the copy.
    """
    program = shutil.which("pg_dump")
    if program is None:
        raise _no_copy(copy, "pg_dump is missing: apt-get install postgresql-client")
    parts = urlsplit(postgres_address(url))
    user, _, place = parts.netloc.rpartition("@")
    user, _, password = user.partition(":")
    address = parts._replace(netloc=f"{user}@{place}" if user else place).geturl()
    environment = dict(os.environ)
    if password:  # not among the arguments, which everybody sees
        environment["PGPASSWORD"] = unquote(password)
    _make_file(copy)
    process = await asyncio.create_subprocess_exec(
        program, "--format=custom", "--no-password", f"--file={copy}", f"--dbname={address}",
        env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await asyncio.to_thread(copy.unlink)
        raise
    if process.returncode != 0:
        await asyncio.to_thread(copy.unlink)
        raise _no_copy(copy, " ".join(said.decode(errors="replace").split())[:_WORDS])


def _make_file(copy: Path) -> None:
    """Make the copy's file, for the hub's account alone; what is there already is not touched."""
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise _no_copy(copy, str(error.strerror)) from error


def _no_copy(copy: Path, reason: str) -> DatabaseUnusable:
    return DatabaseUnusable(
        f"The copy {copy} cannot be made ({reason}); nothing was changed. Make one by other means"
        " and say --no-copy, if need be"
    )
