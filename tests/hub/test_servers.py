"""Requests: what is wanted is written once, within the limits, and comes true."""

import asyncio

import pytest

from kworkspace.cli.client.errors import BadRequest, NotFound, TooMany
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.servers import AlreadyRunning, Limits, describe
from tests.hub.fake_spawner import forever, held_by
from tests.hub.parts import OpenParts, Parts

READY, STOPPED = ServerState.READY, ServerState.STOPPED


async def test_start_and_stop(parts: Parts) -> None:
    row = await parts.servers.start("alice", "", {"gpu": 1})
    assert (row.state, row.desired_running, row.generation) == (ServerState.STARTING, True, 1)
    row = await parts.settled()
    assert (row.state, row.host, row.port) == (READY, "127.0.0.1", 2222)
    assert (row.options, row.started) == ({"gpu": 1}, parts.clock.now)
    row = await parts.servers.stop("alice", "")
    assert (row.state, row.desired_running) == (ServerState.STOPPING, False)
    row = await parts.settled()
    assert (row.state, row.object_uid, row.host, row.started) == (STOPPED, None, None, None)
    assert (row.error, parts.spawner.world) == ("", {})


async def test_two_starts_at_once_make_one(parts: Parts) -> None:
    go_on = asyncio.Event()
    parts.spawner.behaviour = held_by(go_on)
    rows = await asyncio.gather(*(parts.servers.start("alice", "") for _ in range(5)))
    assert {(row.id, row.generation) for row in rows} == {(rows[0].id, 1)}
    go_on.set()
    await parts.settled()
    assert parts.spawner.calls == [("start", "alice")]
    assert [event[0] for event in await parts.events()].count("server.start") == 1


async def test_start_of_what_runs(parts: Parts) -> None:
    await parts.ready()
    with pytest.raises(AlreadyRunning, match="alice's workspace is already running"):
        await parts.servers.start("alice", "")
    assert len(parts.spawner.calls) == 1


async def test_options_are_kept_until_others_are_given(parts: Parts) -> None:
    for options, kept in (({"gpu": 1}, {"gpu": 1}), (None, {"gpu": 1}), ({}, {})):
        await parts.servers.start("alice", "", options)
        assert (await parts.settled()).options == kept
        await parts.servers.stop("alice", "")
        await parts.settled()


async def test_stop_during_a_start(parts: Parts) -> None:
    cancelled = asyncio.Event()

    async def hold(_: object) -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    parts.spawner.behaviour = hold
    await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    await parts.servers.stop("alice", "")
    row = await parts.settled()
    assert (row.state, row.error) == (STOPPED, "")
    assert cancelled.is_set()
    assert parts.spawner.calls == [("start", "alice"), ("stop", "alice")]


async def test_start_during_a_stop(parts: Parts) -> None:
    row = await parts.ready()
    first = row.object_uid
    go_on = asyncio.Event()
    parts.spawner.stop_behaviour = held_by(go_on)
    await parts.servers.stop("alice", "")
    row = await parts.servers.start("alice", "", {"gpu": 2})
    again = await parts.servers.start("alice", "")
    assert (row.state, row.desired_running) == (ServerState.STOPPING, True)
    assert again.generation == row.generation
    go_on.set()
    row = await parts.settled()
    assert (row.state, row.options, row.desired_running) == (READY, {"gpu": 2}, True)
    assert row.object_uid != first
    assert [call for call, _ in parts.spawner.calls] == ["start", "stop", "start"]


async def test_stop_start_stop_during_a_stop(parts: Parts) -> None:
    await parts.ready()
    go_on = asyncio.Event()
    parts.spawner.stop_behaviour = held_by(go_on)
    for request in (parts.servers.stop, parts.servers.start, parts.servers.stop):
        await request("alice", "")
    go_on.set()
    assert (await parts.settled()).state is STOPPED
    assert parts.spawner.world == {}


async def test_stop_of_what_is_stopped_changes_nothing(parts: Parts) -> None:
    await parts.ready()
    await parts.servers.stop("alice", "")
    row = await parts.settled()
    events = await parts.events()
    assert await parts.servers.stop("alice", "") == row
    assert await parts.events() == events
    for user, name in (("bob", ""), ("nobody", ""), ("alice", "gpu")):
        with pytest.raises(NotFound, match="does not exist"):
            await parts.servers.stop(user, name)


async def test_unknown_user(parts: Parts) -> None:
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.servers.start("nobody", "")
    assert parts.readmodel.servers() == []


async def test_settle_waits_no_longer_than_it_is_told(parts: Parts) -> None:
    async def hold(_: object) -> None:
        await forever()

    parts.spawner.behaviour = hold
    row = await parts.servers.start("alice", "")
    assert (await parts.servers.settle(row.id, 0.01)).state is ServerState.STARTING


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


async def test_ensure(parts: Parts) -> None:
    row = await parts.servers.ensure("alice", "")
    assert (row.state, row.generation) == (STOPPED, 0)
    assert await parts.servers.ensure("alice", "") == row
    with pytest.raises(NotFound, match="alice's workspace gpu does not exist"):
        await parts.servers.ensure("alice", "gpu")


def test_describe() -> None:
    assert (describe("a", ""), describe("a", "b")) == ("a's workspace", "a's workspace b")
