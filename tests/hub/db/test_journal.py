"""Hubs on one Postgres see what the others have committed, in whatever order it came about."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import Changes
from kworkspace.hub.db.errors import Again
from kworkspace.hub.db.journal import FRESH_SECONDS, KEPT, Journal
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import ReadModel
from tests.hub.clock import Clock, until
from tests.hub.conftest import ON_POSTGRES
from tests.hub.test_readmodel import assert_in_step

pytestmark = ON_POSTGRES

NOW = Clock().now


@dataclass
class Hub:
    """What one hub knows."""

    store: Store
    readmodel: ReadModel

    @property
    def journal(self) -> Journal:
        """Its journal."""
        assert self.store._journal is not None
        return self.store._journal

    async def look(self) -> None:
        """Take a look at the journal."""
        await self.journal.catch_up()

    async def add(self, *items: object) -> None:
        """Commit new rows."""
        async with self.store.begin() as session:
            session.add_all(items)

    async def change(self, change: Callable[[Any], Awaitable[None]]) -> None:
        """Commit what a function does."""
        async with self.store.begin() as session:
            await change(session)

    def names(self) -> list[str]:
        """The names of the users."""
        return [row.name for row in self.readmodel.users()]


OpenHub = Callable[[], Awaitable[Hub]]


@pytest.fixture
async def open_one(database: str) -> AsyncIterator[OpenHub]:
    """Return a function that opens a hub on the test's database; it looks when it is told to."""
    async with AsyncExitStack() as exits:

        async def open_() -> Hub:
            hub = Hub(await Store.open(database), ReadModel())
            exits.push_async_callback(hub.store.aclose)
            await hub.readmodel.load(hub.store)
            return hub

        yield open_


def user(name: str) -> db.User:
    return db.User(name=name, created=NOW)


def token(owner: db.User, digest: str) -> db.APIToken:
    return db.APIToken(user=owner, digest=digest, created=NOW)


def key(owner: db.User) -> db.SSHKey:
    return db.SSHKey(user=owner, fingerprint="SHA256:x", line="ssh-ed25519 AAAA", created=NOW)


async def one(session: Any, kind: type[Any]) -> Any:
    return (await session.scalars(select(kind))).one()


async def test_every_table_and_every_change(open_one: OpenHub) -> None:
    ours, theirs = await open_one(), await open_one()
    alice, bob = user("alice"), user("bob")
    server = db.Server(user=alice, name="", slug="alice", created=NOW)
    await theirs.add(
        alice, bob, server, token(alice, "a"), key(alice), db.Group(name="ml", users=[])
    )
    await ours.look()
    assert ours.names() == ["alice", "bob"]
    await assert_in_step(ours.readmodel, ours.store)

    async def change(session: Any) -> None:
        (await session.get(db.User, alice.id)).name = "carol"
        (await one(session, db.Server)).error = "it broke"
        (await one(session, db.APIToken)).note = "laptop"
        (await one(session, db.SSHKey)).comment = "new"
        group = await one(session, db.Group)
        group.users.append(await session.get(db.User, bob.id))

    await theirs.change(change)
    await ours.look()
    assert ours.readmodel.groups_of("bob") == ["ml"]
    await assert_in_step(ours.readmodel, ours.store)

    async def delete(session: Any) -> None:
        for kind in (db.APIToken, db.SSHKey):
            await session.delete(await one(session, kind))
        group = await one(session, db.Group)
        group.users.clear()

    await theirs.change(delete)
    await ours.look()
    assert ours.readmodel.groups_of("bob") == []
    await assert_in_step(ours.readmodel, ours.store)

    async def remove(session: Any) -> None:
        session.add(token(await session.get(db.User, bob.id), "b"))
        await session.flush()
        await session.delete(await session.get(db.User, bob.id))
        await session.delete(await one(session, db.Server))
        await session.delete(await one(session, db.Group))

    await theirs.change(remove)
    await ours.look()
    assert ours.names() == ["carol"]
    await assert_in_step(ours.readmodel, ours.store)


async def test_late_committers_are_not_missed(open_one: OpenHub) -> None:
    """The older transaction commits after the younger one, and after a look in between."""
    ours, theirs = await open_one(), await open_one()
    async with theirs.store.begin() as older:
        older.add(user("older"))
        await older.flush()  # it has its id now
        await theirs.add(user("younger"))
        await ours.look()
        await ours.look()
        assert ours.names() == ["younger"]
    await ours.look()
    assert ours.names() == ["older", "younger"]


async def test_nothing_is_lost_between_load_and_listening(open_one: OpenHub) -> None:
    theirs = await open_one()
    async with theirs.store.begin() as session:
        session.add(user("alice"))
        await session.flush()
        ours = await open_one()
        assert ours.names() == []
    await ours.look()
    assert ours.names() == ["alice"]


async def test_what_was_seen_is_not_read_again(
    open_one: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while an older transaction is open, of whichever database of the server."""
    ours, theirs = await open_one(), await open_one()
    told: list[Changes] = []
    monkeypatch.setattr(ours.store, "on_commit", told.append)
    async with theirs.store.begin() as older:
        older.add(user("older"))
        await older.flush()
        await theirs.add(user("younger"))
        for _ in range(3):
            await ours.look()
        assert len(told) == 1


async def test_a_row_that_is_committed_here_meanwhile(
    open_one: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that read a token before it was revoked does not bring it back."""
    ours = await open_one()
    await ours.add(user("alice"))

    async def add(session: Any) -> None:
        session.add(token(await one(session, db.User), "secret"))

    await ours.change(add)
    read = ours.journal._read

    async def delete(session: Any) -> None:
        await session.delete(await one(session, db.APIToken))

    async def slowly(*arguments: Any) -> Any:
        found = await read(*arguments)
        await ours.change(delete)
        return found

    monkeypatch.setattr(ours.journal, "_read", slowly)
    await ours.look()
    assert ours.readmodel._tokens == {}
    monkeypatch.undo()
    await ours.look()
    assert ours.readmodel._tokens == {}
    await assert_in_step(ours.readmodel, ours.store)


async def test_an_older_picture_of_ones_own(open_one: OpenHub) -> None:
    """A transaction that read before another hub changed the same group is put right."""
    ours, theirs = await open_one(), await open_one()
    await ours.add(user("alice"), user("bob"), db.Group(name="ml", users=[]))
    await theirs.look()

    async def add(session: Any, name: str) -> None:
        group = await one(session, db.Group)
        query = select(db.User).where(db.User.name == name)
        group.users.append((await session.scalars(query)).one())

    async with ours.store.begin() as session:
        await add(session, "alice")
        await theirs.change(lambda other: add(other, "bob"))
        await ours.look()
        assert ours.readmodel.groups_of("bob") == ["ml"]
    await ours.look()
    await assert_in_step(ours.readmodel, ours.store)
    assert ours.readmodel.groups_of("alice") == ours.readmodel.groups_of("bob") == ["ml"]


async def test_names_that_pass_to_others(open_one: OpenHub) -> None:
    """Another hub frees a name, and this one gives it away before it hears of that."""
    for free in ("rename", "remove"):
        ours, theirs = await open_one(), await open_one()
        name = f"alice-{free}"
        alice = user(name)
        await theirs.add(alice, token(alice, free), key(alice))
        await ours.look()

        async def leave(session: Any, free: str = free, alice: db.User = alice) -> None:
            row = await session.get(db.User, alice.id)
            if free == "rename":
                row.name = "carol"
            else:
                await session.delete(row)

        await theirs.change(leave)
        await ours.add(user(name))
        assert ours.readmodel.tokens_of(name) == []
        await ours.look()
        await assert_in_step(ours.readmodel, ours.store)


@pytest.mark.parametrize("gap", ["away", "back in time", "too much"])
async def test_who_missed_too_much_reads_everything(
    open_one: OpenHub, monkeypatch: pytest.MonkeyPatch, gap: str
) -> None:
    ours, theirs = await open_one(), await open_one()
    await theirs.add(user("alice"), user("bob"))
    await ours.look()

    async def change(session: Any) -> None:
        await session.delete(await session.get(db.User, 1))
        session.add(user("carol"))

    await theirs.change(change)
    seen = ours.journal._seen
    assert seen is not None
    match gap:
        case "away":
            ours.journal._seen = replace(seen, at=seen.at - KEPT)
        case "back in time":
            ours.journal._seen = replace(seen, xmin=seen.xmin + 1000)
        case "too much":
            monkeypatch.setattr("kworkspace.hub.db.journal.MOST_ROWS", 0)
    async with theirs.store.begin() as session:
        if gap != "too much":
            await session.execute(text("DELETE FROM changes"))
    await ours.look()
    assert ours.names() == ["bob", "carol"]
    await assert_in_step(ours.readmodel, ours.store)


async def test_a_commit_whose_outcome_is_unknown(
    open_one: OpenHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub that does not know what became of its own commit finds out."""
    ours = await open_one()
    finish = ours.store._finish

    async def lose_the_answer(session: Any, changes: Changes) -> None:
        monkeypatch.setattr(ours.store, "on_commit", lambda _changes: None)
        await finish(session, changes)
        monkeypatch.setattr(ours.store, "on_commit", ours.readmodel.apply)
        raise Unavailable("unknown")

    monkeypatch.setattr(ours.store, "_finish", lose_the_answer)
    with pytest.raises(Unavailable):
        await ours.add(user("alice"))
    assert ours.names() == []
    await ours.look()
    assert ours.names() == ["alice"]


async def test_old_entries_are_forgotten(open_one: OpenHub) -> None:
    ours = await open_one()
    await ours.add(user("alice"), user("bob"))
    async with ours.store.begin() as session:
        old = text("UPDATE changes SET at = at - CAST(:age AS interval) WHERE key = '1'")
        await session.execute(old, {"age": KEPT + timedelta(seconds=1)})
    await ours.store.forget_changes()
    async with ours.store.begin() as session:
        left = (await session.execute(text("SELECT entity, key FROM changes"))).all()
    assert left == [("users", "2")]


async def test_transactions_that_change_nothing_of_it_write_nothing(open_one: OpenHub) -> None:
    ours = await open_one()
    event = db.Event(at=NOW, action="x", outcome="ok", actor="hub")
    await ours.add(event, db.Lease(name="a", holder="us", expires=NOW))
    async with ours.store.begin() as session:
        assert (await session.scalars(text("SELECT count(*) FROM changes"))).one() == 0


async def test_fresh(open_one: OpenHub, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = await open_one()
    assert ours.store.fresh()
    ours.journal._looked -= FRESH_SECONDS
    assert not ours.store.fresh()
    await ours.look()
    assert ours.store.fresh()


@dataclass
class Chance:
    """What hubs might do, in an order that a seed decides."""

    random: random.Random

    def word(self) -> str:
        return f"{self.random.random()}"

    async def remove(self, session: Any, person: db.User) -> None:
        await session.delete(person)

    async def rename(self, session: Any, person: db.User) -> None:
        person.name = self.word()

    async def sign_in(self, session: Any, person: db.User) -> None:
        session.add(token(person, self.word()))

    async def sign_out(self, session: Any, person: db.User) -> None:
        for item in await session.scalars(select(db.APIToken).limit(2)):
            await session.delete(item)

    async def join(self, session: Any, person: db.User) -> None:
        for group in await session.scalars(select(db.Group).limit(1)):
            if person not in group.users:
                group.users.append(person)

    @retried
    async def act(self, hub: Hub) -> None:
        acts = [self.remove, self.rename, self.sign_in, self.sign_in, self.sign_out, self.join]
        async with hub.store.begin() as session:
            if users := list(await session.scalars(select(db.User))):
                await self.random.choice(acts)(session, self.random.choice(users))
            session.add(user(self.word()))


@pytest.mark.parametrize("seed", range(3))
async def test_hubs_stay_in_step(open_one: OpenHub, seed: int) -> None:
    """Three of them change whatever they like at once."""
    chance = Chance(random.Random(seed))
    hubs = [await open_one() for _ in range(3)]
    await hubs[0].add(db.Group(name="ml", users=[]))
    tasks = Tasks()
    for hub in hubs:
        tasks.spawn(hub.store.keep(), "keep in step")
    try:
        for _ in range(20):
            work = (chance.act(chance.random.choice(hubs)) for _ in range(6))
            for result in await asyncio.gather(*work, return_exceptions=True):
                # What another one has just deleted, and members that are there already.
                assert isinstance(result, Again | IntegrityError | None), result
        await hubs[0].add(user("the-last"))
        await until(lambda: all(hub.readmodel.user("the-last") for hub in hubs))
    finally:
        await tasks.aclose()
    for hub in hubs:
        await hub.look()
        await assert_in_step(hub.readmodel, hub.store)
