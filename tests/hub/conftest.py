"""A database of a test's own, of either kind, the hub's parts on it, and keys."""

import asyncio
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store
from kworkspace.hub.keys import MOST_KEYS
from tests.hub.clock import Clock
from tests.hub.parts import OpenParts, Parts, Setting, open_parts
from tests.postgres import Server

# For a test whose subject is one of them alone.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


async def make_tables(url: str) -> None:
    """Make the tables of an empty database."""
    await (await Store.open(url)).aclose()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with its tables, to copy: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("database") / "hub.sqlite"
    asyncio.run(make_tables(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def empty_postgres(postgres: Server) -> str:
    """The name of a database with its tables, to copy."""
    name = "empty"
    postgres.create(name)
    asyncio.run(make_tables(postgres.url(name)))
    return name


# Far quicker than to copy a database for each test: end who still uses it, and empty it.
EMPTY = "; ".join(
    [
        """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()""",
        *(f"DELETE FROM {table.name}" for table in reversed(db.Base.metadata.sorted_tables)),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)


@pytest.fixture(scope="session")
def clean_databases() -> list[str]:
    """The names of databases with empty tables, that no test uses."""
    return []


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own, with nothing in its tables; on both."""
    if request.param == "sqlite":
        empty_file: Path = request.getfixturevalue("empty_sqlite")
        yield f"sqlite:///{shutil.copy(empty_file, tmp_path / 'hub.sqlite')}"
        return
    server: Server = request.getfixturevalue("postgres")
    alters = request.node.get_closest_marker("alters_database") is not None
    clean: list[str] = request.getfixturevalue("clean_databases")
    if alters or not clean:
        name = f"test_{uuid.uuid4().hex}"
        server.create(name, template=request.getfixturevalue("empty_postgres"))
    else:
        name = clean.pop()
    yield server.url(name)
    if alters:
        server.drop(name)
    else:
        server.sql(EMPTY, database=name)
        clean.append(name)


@pytest.fixture
async def open_hub(database: str, tmp_path: Path) -> AsyncIterator[OpenParts]:
    """Return a function that wires a hub on the test's database, otherwise where it is told."""
    async with AsyncExitStack() as exits:

        async def open_(**otherwise: Any) -> Parts:
            setting = Setting(**otherwise)
            return await exits.enter_async_context(open_parts(database, tmp_path, setting))

        yield open_


@pytest.fixture
async def parts(open_hub: OpenParts) -> Parts:
    """A hub with the users alice, bob and ada, who is an admin."""
    return await open_hub()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A database alone."""
    store = await Store.open(database)
    yield store
    await store.aclose()


@pytest.fixture
def clock() -> Clock:
    """A clock to set."""
    return Clock()


@dataclass(frozen=True)
class KeyFile:
    """A private key's file."""

    path: Path

    @property
    def line(self) -> str:
        """Its public key's line."""
        return self.path.with_suffix(".pub").read_text().strip()

    def sign(self, text: bytes, namespace: str = "kworkspace") -> str:
        """Sign as a person does, with the real ssh-keygen."""
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.path)]
        return subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    """One key of each type that is a file, and another ed25519 one."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"ed25519": [], "rsa": ["-b", "2048"], "ecdsa": ["-b", "256"], "other": []}
    for name, size in kinds.items():
        kind = "ed25519" if name == "other" else name
        command = ["ssh-keygen", "-q", "-N", "", "-t", kind, *size, "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return {name: KeyFile(folder / name) for name in kinds}


@pytest.fixture(scope="session")
def many_keys() -> list[str]:
    """Lines of more public keys than a person may have."""
    keys = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(MOST_KEYS + 1))
    return [key.export_public_key().decode().strip() for key in keys]
