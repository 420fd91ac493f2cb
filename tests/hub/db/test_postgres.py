"""What goes wrong with a Postgres server: retried where that is safe, said clearly, never half."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, text

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.db import models as db
from kworkspace.hub.db import postgres as module
from kworkspace.hub.db.errors import Again
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import ReadModel
from tests.hub.clock import until
from tests.hub.conftest import ON_POSTGRES
from tests.hub.db.test_store import names, user
from tests.hub.parts import Parts
from tests.hub.test_readmodel import assert_in_step
from tests.postgres import Server

pytestmark = ON_POSTGRES


class Wire:
    """A TCP connection to the server that is cut where a test wants it.

    Attributes:
        word: what a client sends when the wire is to be cut, None for never.
        after: whether the server still gets that; the answer never comes back.
        cuts: how often it was cut.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks = Tasks()
        self._open: set[asyncio.StreamWriter] = set()
        self.word: bytes | None = None
        self.after = False
        self.cuts = 0

    async def open(self) -> int:
        """Listen and return the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def aclose(self) -> None:
        """End everything."""
        self._server.close()
        await self._tasks.aclose()
        for stream in self._open:
            stream.transport.abort()

    def cut_at(self, word: bytes, *, after: bool = False) -> None:
        """Have it cut the next time that a client sends this."""
        self.word, self.after = word, after

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        down, up = await asyncio.open_connection("127.0.0.1", self._port)
        self._open |= {writer, up}
        done = asyncio.Event()
        work = self._tasks.spawn(self._copy(down, writer, done), "answers")
        try:
            while data := await reader.read(65536):
                if self.word is not None and self.word in data:
                    self.word, self.cuts = None, self.cuts + 1
                    done.set()
                    if self.after:
                        up.write(data)
                        await work  # it has been done
                    break
                up.write(data)
        finally:
            for stream in (up, writer):
                stream.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if cut.is_set():
                return  # the answer does not come back
            writer.write(data)
        writer.transport.abort()


@pytest.fixture
async def wire(postgres: Server) -> AsyncIterator[Wire]:
    """A wire to the server."""
    wire = Wire(postgres.port)
    yield wire
    await wire.aclose()


@pytest.fixture
async def wired(database: str, wire: Wire) -> AsyncIterator[Store]:
    """A store whose connections go over the wire."""
    parts = urlsplit(database)
    url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{await wire.open()}").geturl()
    store = await Store.open(url)
    await names(store)  # there is a connection in the pool now
    yield store
    await store.aclose()


class Adding:
    """A domain's method: one transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls = 0

    async def once(self, name: str) -> None:
        self.calls += 1
        async with self.store.begin() as session:
            session.add(user(name))

    @retried
    async def retried(self, name: str) -> None:
        await self.once(name)


async def test_cut_at_the_beginning(wired: Store, wire: Wire) -> None:
    """Nobody notices."""
    adding = Adding(wired)
    wire.cut_at(b"BEGIN")
    await adding.once("alice")
    assert (adding.calls, wire.cuts, await names(wired)) == (1, 1, ["alice"])


async def test_cut_in_the_middle(wired: Store, wire: Wire, store: Store) -> None:
    """Nothing was changed; whoever may do it again does."""
    adding = Adding(wired)
    for after in (False, True):
        wire.cut_at(b"INSERT INTO users", after=after)
        with pytest.raises(Again, match="nothing was changed"):
            await adding.once("alice")
        assert await names(store) == []
    wire.cut_at(b"INSERT INTO users")
    await adding.retried("alice")
    assert (adding.calls, wire.cuts, await names(store)) == (4, 3, ["alice"])


@pytest.mark.parametrize("after", [False, True])
async def test_cut_at_the_commit(wired: Store, wire: Wire, store: Store, after: bool) -> None:
    """Whether it was done is not known, and said so; the hub's own picture finds out."""
    readmodel = ReadModel()
    await readmodel.load(wired)
    adding = Adding(wired)
    wire.cut_at(b"COMMIT;", after=after)
    with pytest.raises(Unavailable, match=r"not known whether .* Look before") as caught:
        await adding.retried("alice")
    assert not isinstance(caught.value, Again)
    assert adding.calls == 1
    assert await names(store) == (["alice"] if after else [])
    assert readmodel.user("alice") is None
    assert wired._journal is not None
    await wired._journal.catch_up()
    await assert_in_step(readmodel, store)


async def test_a_server_that_is_away(
    wired: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.3)
    await wire.aclose()
    adding = Adding(wired)
    with pytest.raises(Unavailable, match=r"does not answer; nothing was changed"):
        await adding.retried("alice")
    assert adding.calls == 1, "it was waited for once, not for each try"


async def test_connections_run_out(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_SECONDS", 0.2)
    store = await Store.open(database)
    async with AsyncExitStack() as held:
        for _ in range(module.CONNECTIONS):
            await held.enter_async_context(store.begin())
        with pytest.raises(Unavailable, match="busy; nothing was changed") as caught:
            await names(store)
        assert caught.value.status == 503
    assert await names(store) == []
    await store.aclose()


@pytest.mark.alters_database
async def test_no_more_connections_at_the_server(
    store: Store, postgres: Server, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """Waited for as a server that is away: somebody gives one back."""
    name = database.rpartition("/")[2]
    await asyncio.to_thread(postgres.sql, f"ALTER DATABASE {name} CONNECTION LIMIT 1")
    async with store.begin() as session:
        session.add(user("alice"))
        work = Tasks().spawn(names(store), "second connection")
        await asyncio.sleep(0.1)
        assert not work.done()
    assert await work == ["alice"]


async def test_two_that_wait_for_each_other(store: Store) -> None:
    """A deadlock is undone by the server, and done again here."""
    async with store.begin() as session:
        session.add_all([user("alice"), user("bob")])
    met = asyncio.Barrier(2)
    calls: Counter[str] = Counter()

    @retried
    async def lock(first: str, second: str) -> None:
        calls[first] += 1
        async with store.begin() as session:
            query = select(db.User).with_for_update(of=db.User)
            await session.execute(query.where(db.User.name == first))
            if calls.total() <= 2:
                await met.wait()
            await session.execute(query.where(db.User.name == second))
            session.add(user(f"{first}-{second}"))

    await asyncio.gather(lock("alice", "bob"), lock("bob", "alice"))
    assert calls.total() == 3
    assert await names(store) == ["alice", "alice-bob", "bob", "bob-alice"]


async def test_the_same_row_at_once(store: Store) -> None:
    """The second of two who change what both have read is told, and does it again."""
    async with store.begin() as session:
        session.add(user("alice"))

    async def rename(name: str) -> None:
        async with store.begin() as session:
            row = (await session.scalars(select(db.User))).one()
            if name == "first":
                async with store.begin() as other:
                    (await other.scalars(select(db.User))).one().name = "second"
            row.name = name

    with pytest.raises(Again, match="Somebody else has changed this"):
        await rename("first")
    assert await names(store) == ["second"]


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_nothing_waits_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setitem(module.SETTINGS, setting, "100ms")
    store = await Store.open(database)
    async with store.begin() as session:
        await serialize(session, "one")
        with pytest.raises(Unavailable, match="busy; nothing was changed"):
            async with store.begin() as other:
                await serialize(other, "one")
    assert await names(store) == []
    await store.aclose()


async def test_a_server_that_says_nothing_more(
    wired: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has hung, or its machine has: the client's own limit ends the wait."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    stuck = await Store.open(str(module.postgres_address(wired._database.address)))  # type: ignore[attr-defined]
    with pytest.raises(Again, match="nothing was changed"):
        async with stuck.begin() as session:
            await session.execute(text("SELECT pg_sleep(5)"))
    assert await names(stuck) == []
    await stuck.aclose()


async def test_restarted_under_load(
    parts: Parts, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is done or refused, as it was told, and none is half done."""
    outcomes: dict[str, str] = {}
    stop = asyncio.Event()

    async def load(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"user-{worker}-{number}"
            try:
                await parts.people.add([name])
                outcomes[name] = "done"
            except Unavailable as error:
                outcomes[name] = "unknown" if "not known" in error.message else "refused"

    tasks = Tasks()
    workers = [tasks.spawn(load(worker), f"worker {worker}") for worker in range(4)]
    for _ in range(2):
        before = len(outcomes)
        await until(lambda before=before: len(outcomes) > before + 20)  # type: ignore[misc]
        await asyncio.to_thread(postgres.restart)
    before = len(outcomes)
    await until(lambda: len(outcomes) > before + 20)
    stop.set()
    await asyncio.gather(*workers)
    async with parts.store.begin() as session:
        there = set((await session.scalars(select(db.User.name))).all())
        query = select(db.Event.user).where(db.Event.action == "user.new")
        written = set((await session.scalars(query)).all())
    made = {name for name in there if name.startswith("user-")}
    told = {kind: {name for name, said in outcomes.items() if said == kind} for kind in
            ("done", "refused", "unknown")}  # fmt: skip
    assert told["done"] <= made
    assert not told["refused"] & made
    assert made - told["done"] <= told["unknown"]
    assert {name for name in written if str(name).startswith("user-")} == made
    assert parts.store._journal is not None
    await parts.store._journal.catch_up()
    await assert_in_step(parts.readmodel, parts.store)
