"""Requests: what is wanted is written once, within the limits, and comes true."""

import asyncio

import pytest

from kworkspace.cli.client.errors import NotFound
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.starts import AlreadyRunning
from tests.hub.fake_spawner import forever, held_by
from tests.hub.parts import Parts

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


async def test_settle_waits_no_longer_than_it_is_told(parts: Parts) -> None:
    async def hold(_: object) -> None:
        await forever()

    parts.spawner.behaviour = hold
    row = await parts.servers.start("alice", "")
    assert (await parts.servers.settle(row.id, 0.01)).state is ServerState.STARTING


async def test_ensure(parts: Parts) -> None:
    row = await parts.servers.ensure("alice", "")
    assert (row.state, row.generation) == (STOPPED, 0)
    assert await parts.servers.ensure("alice", "") == row
    with pytest.raises(NotFound, match="alice's workspace gpu does not exist"):
        await parts.servers.ensure("alice", "gpu")
