"""An older database, with rows in it, becomes one of this code; a copy is made first."""

import asyncio
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from kworkspace.hub.db import migrate
from kworkspace.hub.db import models as db
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.store import Store
from kworkspace.hub.db.upgrade import Upgraded, upgrade
from tests.hub.conftest import ON_POSTGRES, ON_SQLITE
from tests.postgres import PASSWORD, PASSWORD_ROLE, Server

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
RELEASED = sorted(migrate.KNOWN_REVISIONS - {migrate.REVISION})

# What a hub of the first revision has written: every table has a row.
ROWS = """
INSERT INTO meta (key, value) VALUES ('hub_id', 'the-hub');
INSERT INTO users (id, name, admin, created) VALUES (7, 'alice', true, :now);
INSERT INTO servers (id, user_id, name, slug, state, desired_running, generation, error, options,
    created) VALUES ('s1', 7, '', 'alice', 'stopped', false, 3, '', '{"a": 1}', :now);
INSERT INTO api_tokens (id, digest, user_id, note, created) VALUES ('t1', 'd1', 7, 'laptop', :now);
INSERT INTO challenges (digest, expires) VALUES ('c1', :now);
INSERT INTO sessions (id, server_id, actor, gateway, address, client_version, key_fingerprint,
    proof, started, last_report, last_activity, end_reason) VALUES ('x1', 's1', 'alice', 'g',
    '192.0.2.1', 'OpenSSH', 'SHA256:k', 'p1', :now, :now, :now, '');
INSERT INTO events (id, at, action, outcome, actor, address, request_id, message)
    VALUES (1, :now, 'server.start', 'done', 'alice', '', '', '');
INSERT INTO leases (name, holder, expires) VALUES ('server:s1', 'gone', :past)
"""


def fill(connection: Connection, revision: str) -> None:
    """Make the tables of a revision, as its code did, and put rows into them."""
    migrate.upgrade(connection, revision)
    times: dict[str, datetime | str] = {"now": NOW, "past": NOW - timedelta(days=1)}
    if connection.dialect.name == "sqlite":
        times = {name: f"{time:%Y-%m-%d %H:%M:%S.%f}" for name, time in times.items()}
    for statement in ROWS.split(";\n"):
        used = {name: time for name, time in times.items() if f":{name}" in statement}
        connection.execute(text(statement).bindparams(**used))


def make_engine(url: str) -> AsyncEngine:
    scheme, _, rest = url.partition("://")
    driver = "sqlite+aiosqlite" if scheme == "sqlite" else "postgresql+asyncpg"
    return create_async_engine(f"{driver}://{rest}")


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hub.sqlite'}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = "to_upgrade"
    server.create(name)
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=RELEASED)
async def old(request: pytest.FixtureRequest, empty: str) -> str:
    """The URL of a database of each released revision, with rows."""
    engine = make_engine(empty)
    async with engine.begin() as connection:
        await connection.run_sync(fill, request.param)
    await engine.dispose()
    return empty


async def run(url: str, directory: Path, *, copy: bool = True) -> Upgraded:
    return await upgrade(url, copies=directory, copy=copy, clock=lambda: NOW)


async def test_rows_are_kept(old: str, tmp_path: Path) -> None:
    done = await run(old, tmp_path)
    assert done.before in RELEASED
    store = await Store.open(old)
    async with store.begin() as session:
        [user] = (await session.scalars(select(db.User))).all()
        assert (user.name, user.created, user.version) == ("alice", NOW, 1)
        [server] = (await session.scalars(select(db.Server))).all()
        assert (server.slug, server.generation, server.options) == ("alice", 3, {"a": 1})
        [token] = (await session.scalars(select(db.APIToken))).all()
        assert (token.digest, token.user_id) == ("d1", 7)
        [session_row] = (await session.scalars(select(db.Session))).all()
        assert (session_row.server_id, session_row.proof) == ("s1", "p1")
        assert len((await session.scalars(select(db.Event))).all()) == 1
    await store.aclose()
    assert await run(old, tmp_path) == Upgraded(done.name, migrate.REVISION, None)


async def test_the_copy_is_as_it_was(old: str, tmp_path: Path, postgres: Server) -> None:
    done = await run(old, tmp_path)
    assert done.copy is not None
    assert stat.S_IMODE(done.copy.stat().st_mode) == 0o600
    if old.startswith("sqlite"):
        assert done.copy.name == f"hub.sqlite.{done.before}.20300102T030405Z"
        copied = create_engine(f"sqlite:///{done.copy}")
        with copied.connect() as connection:
            assert migrate.current_revision(connection, "copy") == done.before
            assert connection.execute(text("SELECT name FROM users")).scalar() == "alice"
        copied.dispose()
        return
    readable = postgres.directory / "copy.dump"
    shutil.copy(done.copy, readable)
    readable.chmod(0o644)  # for the server's account
    await asyncio.to_thread(postgres.create, "restored")
    place = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-d", "restored"]
    await asyncio.to_thread(postgres.run, "pg_restore", *place, str(readable))
    query = "SELECT (SELECT version_num FROM alembic_version) || (SELECT name FROM users)"
    said = await asyncio.to_thread(postgres.sql, query, database="restored")
    assert said.strip() == f"{done.before}alice"
    await asyncio.to_thread(postgres.drop, "restored")


async def test_no_copy(old: str, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    assert (await run(old, tmp_path, copy=False)).copy is None
    assert {file for file in tmp_path.iterdir() if file not in before} == set()


async def test_a_migration_that_fails_changes_nothing(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = migrate.upgrade

    def fail(connection: Connection, revision: str) -> None:
        real(connection, revision)
        connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    monkeypatch.setattr(migrate, "upgrade", fail)
    with pytest.raises(DatabaseUnusable, match="no_such_table"):
        await run(old, tmp_path)
    monkeypatch.undo()
    engine = make_engine(old)
    async with engine.connect() as connection:
        revision = await connection.run_sync(migrate.current_revision, "it")
    await engine.dispose()
    assert revision in RELEASED
    assert (await run(old, tmp_path, copy=False)).before == revision


@pytest.mark.parametrize("empty", ["postgres"], indirect=True)
async def test_a_hub_lives_on_it(old: str, tmp_path: Path) -> None:
    engine = make_engine(old)
    async with engine.begin() as connection:
        alive = text("UPDATE leases SET expires = :later").bindparams(later=NOW + timedelta(0, 9))
        await connection.execute(alive)
    await engine.dispose()
    with pytest.raises(DatabaseUnusable, match="is in use by a hub: end all of its hubs first"):
        await run(old, tmp_path)


@pytest.mark.parametrize("empty", ["postgres"], indirect=True)
async def test_pg_dump_is_missing(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatabaseUnusable, match="pg_dump is missing: apt-get install postgresql-c"):
        await run(old, tmp_path)
    assert (await run(old, tmp_path, copy=False)).before in RELEASED


@pytest.mark.parametrize("empty", ["postgres"], indirect=True)
async def test_the_password_is_nobodys_to_see(
    old: str, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = urlsplit(old).path.lstrip("/")
    for kind in ("TABLES", "SEQUENCES"):
        grant = f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {PASSWORD_ROLE}"
        await asyncio.to_thread(postgres.sql, grant, database=name)
    spy = tmp_path / "bin" / "pg_dump"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexec {postgres.bin}/pg_dump "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:/usr/bin:/bin")
    role = f"{PASSWORD_ROLE}:{quote(PASSWORD, safe='')}"
    with pytest.raises(DatabaseUnusable) as caught:  # it may read, and so copy; not alter
        await run(postgres.url(name, role=role), tmp_path)
    assert re.search("must be owner|permission denied for schema", caught.value.message)
    assert list(tmp_path.glob("*.dump"))
    words = (tmp_path / "words").read_text()
    assert PASSWORD_ROLE in words
    assert PASSWORD not in words + caught.value.message
    assert quote(PASSWORD, safe="") not in words + caught.value.message


@ON_SQLITE
async def test_a_copy_that_cannot_be_made(database: str, tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    taken = tmp_path / "hub.sqlite.0001.20300102T030405Z"
    taken.mkdir()
    with pytest.raises(DatabaseUnusable, match=r"cannot be made \(.*File exists.*--no-copy"):
        await run(database, tmp_path)
    assert taken.is_dir()


async def test_an_empty_one_and_one_that_is_not_there(empty: str, tmp_path: Path) -> None:
    if empty.startswith("sqlite"):
        with pytest.raises(DatabaseUnusable, match="does not exist"):
            await run(empty, tmp_path)
        (tmp_path / "hub.sqlite").touch()
    assert (await run(empty, tmp_path)).before is None


@ON_POSTGRES
async def test_this_revision_is_left_alone(database: str, tmp_path: Path) -> None:
    done = await run(database, tmp_path)
    assert (done.before, done.copy) == (migrate.REVISION, None)
