"""Why a Postgres database cannot be opened: one line each, without its password."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import quote

import pytest

from kworkspace.hub.db import postgres as module
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.store import Store
from tests.hub.conftest import ON_POSTGRES
from tests.hub.db.test_store import names
from tests.ports import free_port
from tests.postgres import PASSWORD, PASSWORD_ROLE, Server


async def refused(url: str) -> str:
    """Return why a database cannot be opened."""
    with pytest.raises(DatabaseUnusable) as caught:
        await Store.open(url)
    assert "\n" not in caught.value.message
    assert PASSWORD not in caught.value.message
    return caught.value.message


async def test_several_at_once_on_an_empty_one(postgres: Server) -> None:
    name = "first_start"
    await asyncio.to_thread(postgres.create, name)
    stores = await asyncio.gather(*(Store.open(postgres.url(name)) for _ in range(4)))
    for store in stores:
        assert await names(store) == []
        await store.aclose()
    await asyncio.to_thread(postgres.drop, name)


async def test_no_server() -> None:
    port = free_port()
    said = await refused(f"postgresql://hub@127.0.0.1:{port}/hub")
    assert said.startswith(f"The database hub on 127.0.0.1:{port} cannot be used (")
    assert said.endswith("is the server up, and is c.Hub.db_url right?")


async def test_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = await refused(f"postgresql://hub@127.0.0.1:{silent.getsockname()[1]}/hub")
    assert said.endswith("is the server up, and is c.Hub.db_url right?")


@pytest.mark.alters_database
@ON_POSTGRES
async def test_password(postgres: Server, database: str) -> None:
    name = database.rpartition("/")[2]
    grant = f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {PASSWORD_ROLE}"
    await asyncio.to_thread(postgres.sql, grant, database=name)
    for password in ("wrong", ""):
        said = await refused(postgres.url(name, role=f"{PASSWORD_ROLE}:{password}".rstrip(":")))
        assert "check user and password" in said
    role = f"{PASSWORD_ROLE}:{quote(PASSWORD, safe='')}"
    await (await Store.open(postgres.url(name, role=role))).aclose()


async def test_no_database(postgres: Server) -> None:
    said = await refused(postgres.url("missing"))
    assert said == (
        f"The database missing on 127.0.0.1:{postgres.port} cannot be used (database"
        " \"missing\" does not exist): make it, with ENCODING 'UTF8', for the hub's role alone"
    )


MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture
async def made(postgres: Server) -> AsyncIterator[MakeDatabase]:
    """Return a function that makes a database as a test wants it and returns its URL."""
    names: list[str] = []

    async def make(options: str, *, role: str = "kworkspace") -> str:
        names.append(f"made_{len(names)}")
        statement = f"CREATE DATABASE {names[-1]} TEMPLATE template0 {options}"
        await asyncio.to_thread(postgres.sql, statement)
        return postgres.url(names[-1], role=role)

    yield make
    for name in names:
        await asyncio.to_thread(postgres.drop, name)


async def test_may_not_make_tables(made: MakeDatabase) -> None:
    said = await refused(await made("ENCODING 'UTF8'"))
    assert "the hub's role must be allowed to create tables" in said


async def test_encoding(made: MakeDatabase) -> None:
    said = await refused(
        await made("OWNER kworkspace ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    )
    assert said.endswith("has the encoding LATIN1: make one with ENCODING 'UTF8'")


async def test_somebody_elses(made: MakeDatabase, postgres: Server) -> None:
    url = await made("OWNER kworkspace ENCODING 'UTF8'")
    name = url.rpartition("/")[2]
    await asyncio.to_thread(postgres.sql, "CREATE TABLE things (id int)", database=name)
    assert "is not a hub's: it has tables of something else" in await refused(url)


async def test_read_only(made: MakeDatabase, postgres: Server) -> None:
    url = await made("OWNER kworkspace ENCODING 'UTF8'")
    name = url.rpartition("/")[2]
    statement = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    await asyncio.to_thread(postgres.sql, statement)
    assert (await refused(url)).endswith("as a standby is: name the primary server")


@ON_POSTGRES
async def test_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OLDEST", 99)
    assert (await refused(database)).endswith(": it must be 99 or newer")
