"""Many who ask at once are written together, and each has their own outcome within the limits."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from kworkspace.cli.client.errors import BadRequest, Conflict, NotFound, TooMany, Unavailable
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.audit import Origin, origin
from kworkspace.hub.db import models as db
from kworkspace.hub.readmodel import ServerRow
from kworkspace.hub.starts import AlreadyRunning, Limits, describe
from tests.hub.fake_spawner import held_by
from tests.hub.parts import OpenParts, Parts

READY, STOPPED = ServerState.READY, ServerState.STOPPED


async def test_each_has_their_own_outcome(open_hub: OpenParts) -> None:
    users = dict.fromkeys(("alice", "bob", "carol", "dora"), ())
    parts = await open_hub(users=users)
    await parts.ready("alice")
    async with parts.store.begin() as session:
        carol = (await session.scalars(select(db.User).where(db.User.name == "carol"))).one()
        carol.removing = True
    asked = [
        parts.servers.start("bob", "", {"gpu": 1}),
        parts.servers.start("alice", ""),
        parts.servers.start("nobody", ""),
        parts.servers.create("dora", ""),
        parts.servers.start("carol", ""),
        parts.servers.start("dora", "gpu"),
        parts.servers.start("dora", ""),
        parts.servers.start("bob", ""),
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [
        ServerRow, AlreadyRunning, NotFound, tuple, Conflict, BadRequest, ServerRow, ServerRow,
    ]  # fmt: skip
    rows = {row.user: row for row in parts.readmodel.servers()}
    assert set(rows) == {"alice", "bob", "dora"}
    assert (rows["bob"].options, rows["bob"].generation) == ({"gpu": 1}, 1)
    assert (await parts.settled("dora")).state is READY
    await parts.settled("bob")


@pytest.mark.parametrize("kind", ["object", "array"])
async def test_what_is_nested_too_deeply_stops_nobody_else(parts: Parts, kind: str) -> None:
    def nested(depth: int) -> dict[str, Any]:
        value: Any = {}
        for _ in range(depth - 1):
            value = {"a": value} if kind == "object" else [value]
        return {"a": value}

    asked = [
        parts.servers.start("alice", "", {"gpu": 1}),
        parts.servers.start("bob", "", nested(950)),
        parts.servers.start("ada", "", nested(15)),
    ]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ServerRow, BadRequest, ServerRow]
    with pytest.raises(BadRequest, match="nested more than 16 deep"):
        await parts.servers.start("bob", "", nested(16))


async def test_whose_request_it_was(parts: Parts) -> None:
    async def start(user: str) -> None:
        origin.set(Origin(actor=f"user {user}", request_id=f"request of {user}"))
        await parts.servers.start(user, "")

    await asyncio.gather(*map(start, ("alice", "bob", "ada")))
    async with parts.store.begin() as session:
        query = select(db.Event).where(db.Event.action == "server.start")
        events = (await session.scalars(query)).all()
    assert {(event.user, event.actor, event.request_id) for event in events} == {
        (user, f"user {user}", f"request of {user}") for user in ("alice", "bob", "ada")
    }


async def test_no_more_wait_than_may(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.servers._starts._together, "_most_waiting", 1)
    outcomes = await asyncio.gather(
        *(parts.servers.start(user, "") for user in ("alice", "bob", "ada")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [ServerRow, Unavailable, Unavailable]
    assert [row.user for row in parts.readmodel.servers()] == ["alice"]
    await parts.ready("bob")


async def test_one_user_does_not_take_all_turns(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kworkspace.hub.starts.MOST_WAITING_OF_USER", 2)
    outcomes = await asyncio.gather(
        *(parts.servers.start(user, "") for user in ("alice", "alice", "alice", "bob")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [ServerRow, ServerRow, TooMany, ServerRow]
    await parts.settled("alice")
    with pytest.raises(AlreadyRunning):
        await parts.servers.start("alice", "")
    assert not parts.servers._starts._waiting


async def test_two_starts_at_once_make_one(parts: Parts) -> None:
    go_on = asyncio.Event()
    parts.spawner.behaviour = held_by(go_on)
    rows = await asyncio.gather(*(parts.servers.start("alice", "") for _ in range(5)))
    assert {(row.id, row.generation) for row in rows} == {(rows[0].id, 1)}
    go_on.set()
    await parts.settled()
    assert parts.spawner.calls == [("start", "alice")]
    assert [event[0] for event in await parts.events()].count("server.start") == 1


async def test_unknown_user(parts: Parts) -> None:
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.servers.start("nobody", "")
    assert parts.readmodel.servers() == []


async def test_concurrent_spawn_limit(open_hub: OpenParts) -> None:
    users = {f"user{number}": () for number in range(50)}
    parts = await open_hub(users=users, limits=Limits(concurrent_spawns=10))
    go_on = asyncio.Event()
    parts.spawner.behaviour = held_by(go_on)
    results = await asyncio.gather(
        *(parts.servers.start(user, "") for user in users), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, TooMany)]
    assert (len(refused), len(parts.readmodel.servers())) == (40, 10)
    assert {error.retry_after for error in refused} == {10}
    go_on.set()
    for row in parts.readmodel.servers():
        await parts.settled(row.user)
    late = next(user for user in users if parts.readmodel.server_of(user, "") is None)
    assert (await parts.ready(late)).state is READY


async def test_a_restart_counts_as_a_start(open_hub: OpenParts) -> None:
    parts = await open_hub(limits=Limits(concurrent_spawns=1))
    await parts.ready("alice")
    await parts.ready("bob")
    go_on = asyncio.Event()
    parts.spawner.stop_behaviour = held_by(go_on)
    for user in ("alice", "bob"):
        await parts.servers.stop(user, "")
    await parts.servers.start("alice", "")
    with pytest.raises(TooMany):
        await parts.servers.start("bob", "")
    go_on.set()
    assert (await parts.settled("alice")).state is READY
    assert (await parts.settled("bob")).state is STOPPED


async def test_active_server_limit(open_hub: OpenParts) -> None:
    parts = await open_hub(limits=Limits(active_servers=1))
    await parts.ready("alice")
    with pytest.raises(TooMany, match="The hub runs 1 workspaces, which is its limit") as caught:
        await parts.servers.start("bob", "")
    assert caught.value.retry_after == 60
    await parts.servers.stop("alice", "")
    await parts.settled("alice")
    await parts.ready("bob")


async def test_named_servers(open_hub: OpenParts) -> None:
    parts = await open_hub()
    with pytest.raises(BadRequest, match="Named workspaces are not enabled"):
        await parts.servers.start("alice", "gpu")


async def test_named_server_limit(open_hub: OpenParts) -> None:
    limits = Limits(allow_named_servers=True, named_servers_per_user=1)
    parts = await open_hub(limits=limits)
    await parts.ready()
    await parts.servers.start("alice", "gpu")
    row = await parts.settled("alice", "gpu")
    assert row.slug != "alice"
    with pytest.raises(BadRequest, match="alice has 1 named workspaces, which is the limit"):
        await parts.servers.start("alice", "cpu")
    await parts.servers.stop("alice", "gpu")
    await parts.settled("alice", "gpu")
    await parts.servers.start("alice", "gpu")
    await parts.settled("alice", "gpu")


async def test_slugs_never_meet(open_hub: OpenParts) -> None:
    """User `a-b`, and user `a` with workspace `b`, are different things."""
    limits = Limits(allow_named_servers=True)
    parts = await open_hub(users={"a-b": (), "a": ()}, limits=limits)
    for user, name in (("a", "b"), ("a-b", ""), ("a", "")):
        await parts.servers.start(user, name)
        await parts.settled(user, name)
    slugs = {(row.user, row.name): row.slug for row in parts.readmodel.servers()}
    assert len(set(slugs.values())) == 3
    assert (slugs["a-b", ""], slugs["a", ""]) == ("a-b", "a")


def test_describe() -> None:
    assert (describe("a", ""), describe("a", "b")) == ("a's workspace", "a's workspace b")
