"""The read model is the database, whatever happened."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.cli.client.models import ServerState, UserChange
from kworkspace.hub.db.store import Store
from kworkspace.hub.readmodel import ReadModel, digest
from kworkspace.hub.starts import Limits
from kworkspace.spawners.base import Workspace
from tests.hub.clock import until
from tests.hub.parts import OpenParts, Parts

ADDED = ["carol", "dave", "erin"]


async def assert_in_step(readmodel: ReadModel, store: Store) -> None:
    """Compare what is in memory with what a new process would read."""
    fresh = ReadModel()
    await fresh.load(Store(store._database))
    for rows in ("_users", "_user_names", "_servers", "_tokens", "_token_digests", "_keys"):
        assert getattr(fresh, rows) == getattr(readmodel, rows), rows
    assert fresh._groups == readmodel._groups
    for index in ("_servers_of", "_tokens_of", "_keys_of", "_groups_of"):
        indexes = [getattr(model, index) for model in (fresh, readmodel)]
        one, other = ({user: of for user, of in found.items() if of} for found in indexes)
        assert one == other, index
    assert [row.name for row in fresh.users()] == [row.name for row in readmodel.users()]


@dataclass
class Chance:
    """What people and machines might do, in an order that a seed decides."""

    parts: Parts
    random: random.Random
    keys: list[str]
    secrets: list[str] = field(default_factory=list)

    async def behave(self, _: Workspace) -> None:
        for _step in range(self.random.randrange(5)):
            await asyncio.sleep(0)
        if self.random.random() < 0.2:
            raise StartFailed("chance")

    async def start(self) -> None:
        options = self.random.choice([None, {"number": self.random.random()}])
        await self.parts.servers.start(*self.server(), options)

    async def stop(self) -> None:
        await self.parts.servers.stop(*self.server())

    def server(self) -> tuple[str, str]:
        return self.user(), self.random.choice(["", "gpu"])

    def user(self) -> str:
        return self.random.choice(["alice", "bob", *ADDED])

    async def add_user(self) -> None:
        await self.parts.people.add([self.random.choice(ADDED)])

    async def rename_user(self) -> None:
        change = UserChange(name=self.random.choice(ADDED), admin=self.random.random() < 0.5)
        await self.parts.people.change(self.random.choice(ADDED), change)

    async def remove_user(self) -> None:
        self.parts.servers.see_to(await self.parts.people.remove(self.random.choice(ADDED)))

    async def add_key(self) -> None:
        await self.parts.keys.add(self.user(), self.random.choice(self.keys))

    async def remove_key(self) -> None:
        user = self.user()
        for key in self.parts.keys.of(user)[:1]:
            await self.parts.keys.remove(user, str(key.id))

    async def group(self) -> None:
        groups, name = self.parts.groups, self.random.choice(["ml", "ops"])
        match self.random.randrange(4):
            case 0:
                await groups.create(name, ["alice"])
            case 1:
                await groups.delete(name)
            case 2:
                await groups.add_users(name, [self.user()])
            case 3:
                await groups.remove_users(name, [self.user()])

    async def crash(self) -> None:
        if running := list(self.parts.spawner.world.values()):
            self.parts.spawner.crash(self.random.choice(running))

    async def sign_in(self) -> None:
        user, seconds = self.server()[0], self.random.choice([None, 60])
        self.secrets.append(await self.parts.token(user, seconds))

    async def sign_out(self) -> None:
        token = self.parts.tokens.find(self.secrets.pop()) if self.secrets else None
        if token is not None:
            await self.parts.tokens.revoke(token)

    async def wait(self) -> None:
        self.parts.clock.advance(20)
        await self.parts.tokens.purge()

    async def act(self) -> None:
        acts = [self.start, self.start, self.stop, self.crash]
        acts += [self.sign_in, self.sign_out, self.wait]
        acts += [self.add_user, self.rename_user, self.remove_user]
        acts += [self.add_key, self.remove_key, self.group]
        await self.random.choice(acts)()


@pytest.mark.parametrize("seed", range(4))
async def test_read_model_equals_the_database(
    open_hub: OpenParts, seed: int, many_keys: list[str]
) -> None:
    """A random sequence of requests, many at once, failures and exits among them."""
    parts = await open_hub(limits=Limits(allow_named_servers=True, active_servers=3))
    chance = Chance(parts, random.Random(seed), many_keys[:3])
    parts.spawner.behaviour = chance.behave
    for _ in range(30):
        results = await asyncio.gather(*(chance.act() for _ in range(4)), return_exceptions=True)
        for result in results:
            assert result is None or isinstance(result, KworkspaceError), result
    await until(lambda: not parts.driver._active and not parts.consequences._at_work)
    await assert_in_step(parts.readmodel, parts.store)
    ready = {row.id for row in parts.readmodel.servers() if row.state is ServerState.READY}
    assert ready == set(parts.spawner.world)
    assert not [row.name for row in parts.readmodel.users() if row.removing]
    assert all(
        row.state in {ServerState.READY, ServerState.STOPPED} for row in parts.readmodel.servers()
    )


async def test_tokens(parts: Parts) -> None:
    secret = await parts.token("alice", 60)
    now = parts.clock.now
    row = parts.readmodel.token(secret, now)
    assert row is not None
    assert (row.user, row.service, row.digest) == ("alice", None, digest(secret))
    assert parts.readmodel.token(secret, now + timedelta(seconds=59.9)) == row
    assert parts.readmodel.token(secret, now + timedelta(seconds=60)) is None
    assert parts.readmodel.token("kws_other", now) is None


async def test_waiting_for_a_state(parts: Parts) -> None:
    row = await parts.ready()
    assert await parts.readmodel.server_when(row.id, lambda now: now.port == 2222) == row
    stop = parts.driver._tasks.spawn(parts.servers.stop("alice", ""), "stop")
    async with asyncio.timeout(10):
        found = await parts.readmodel.server_when(
            row.id, lambda now: now.state is ServerState.STOPPED
        )
    assert found is not None
    assert found.generation == (await stop).generation == 2


async def test_looking_up(parts: Parts) -> None:
    assert [row.name for row in parts.readmodel.users()] == ["ada", "alice", "bob"]
    row = await parts.ready()
    assert parts.readmodel.server(row.id) == row
    assert parts.readmodel.server_of("alice", "") == row
    assert parts.readmodel.servers_of("alice") == {"": row}
    assert parts.readmodel.servers_of("bob") == {}
    assert parts.readmodel.user("nobody") is None
    assert parts.readmodel.server("unknown") is None
