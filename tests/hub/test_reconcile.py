"""What a new hub makes of a database and of what runs."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from kworkspace.cli.client.models import ServerState
from kworkspace.spawners.base import Home, Running
from tests.hub.clock import Clock, until
from tests.hub.fake_spawner import forever, held_by
from tests.hub.parts import OpenParts, Parts

READY, STOPPED = ServerState.READY, ServerState.STOPPED


@pytest.fixture
def world() -> dict[str, Running]:
    """What runs, whichever hub looks."""
    return {}


@pytest.fixture
async def before(open_hub: OpenParts, world: dict[str, Running]) -> Parts:
    """A hub with alice's workspace running, soon to be killed."""
    parts = await open_hub(world=world)
    await parts.ready()
    return parts


async def next_hub(open_hub: OpenParts, world: dict[str, Running]) -> Parts:
    """Wire the hub after it, as its start does, up to the first comparison."""
    parts = await open_hub(world=world, holder="next-hub")
    await parts.leases.clear()
    return parts


async def test_what_runs_is_adopted(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    known = before.readmodel.servers()
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    assert after.readmodel.servers() == known
    assert after.spawner.calls == [("refresh", "alice")]
    [id] = world
    after.spawner.crash(world[id])
    await until(lambda: after.readmodel.servers()[0].state is STOPPED)


async def test_another_incarnation_is_adopted(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    [row] = before.readmodel.servers()
    world[row.id] = replace(world[row.id], object_uid="another", port=3333)
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    await after.idle(row.id)
    [row] = after.readmodel.servers()
    assert (row.state, row.object_uid, row.port) == (READY, "another", 3333)
    assert after.spawner.calls == [("refresh", "alice")]


async def test_what_is_gone_is_marked_so(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    world.clear()
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    row = await after.servers.settle(before.readmodel.servers()[0].id, 0)
    await after.idle(row.id)
    [row] = after.readmodel.servers()
    assert (row.state, row.error) == (STOPPED, "it ended while the hub was away")


async def test_orphan_is_removed(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    before.spawner.put("nobody-knows-it", "orphan")
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    assert [running.slug for running in world.values()] == ["alice"]
    assert ("server.orphan-removed", "ok", "hub", None) in await after.events()


async def test_a_young_orphan_is_left_alone(
    before: Parts, open_hub: OpenParts, world: dict[str, Running], caplog: pytest.LogCaptureFixture
) -> None:
    """As after a database was restored: its user may be brought back in time."""
    orphan = before.spawner.put("nobody-knows-it", "orphan")
    after = await next_hub(open_hub, world)
    world[orphan.id] = replace(orphan, since=after.clock() - timedelta(seconds=299))
    await after.reconciler.once()
    assert orphan.id in world
    after.clock.advance(2)
    await after.reconciler.once()
    assert orphan.id not in world


async def test_homes_of_nobody_are_told_of(
    before: Parts, open_hub: OpenParts, world: dict[str, Running], caplog: pytest.LogCaptureFixture
) -> None:
    after = await next_hub(open_hub, world)
    [row] = after.readmodel.servers()
    after.spawner.kept = [Home(row.id, "workspace-alice"), Home("unknown", "workspace-carol")]
    for _ in range(2):
        await after.reconciler.once()
    told = [line for line in caplog.messages if "belongs to no user" in line]
    assert told == ["workspace-carol (unknown) belongs to no user; it is kept"]


async def test_what_runs_and_should_not_is_ended(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    row = (await before.servers.stop("alice", "")).id
    await before.settled()
    before.spawner.put(row, "alice")
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    await after.idle(row)
    assert world == {}
    assert after.readmodel.servers()[0].state is STOPPED


async def test_start_is_taken_up(open_hub: OpenParts, world: dict[str, Running]) -> None:
    before = await open_hub(world=world)
    before.spawner.behaviour = held_by(asyncio.Event())
    await before.servers.start("alice", "", {"gpu": 1})
    await before.spawner.starting.wait()
    await before.driver.aclose()
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    row = await after.settled()
    assert (row.state, row.options, len(world)) == (READY, {"gpu": 1}, 1)


async def test_stop_is_taken_up(
    before: Parts, open_hub: OpenParts, world: dict[str, Running]
) -> None:
    async def hold(_: str) -> None:
        await forever()

    before.spawner.stop_behaviour = hold
    row = await before.servers.stop("alice", "")
    await until(lambda: ("stop", "alice") in before.spawner.calls)
    await before.driver.aclose()
    after = await next_hub(open_hub, world)
    await after.reconciler.once()
    await after.idle(row.id)
    assert (await after.settled()).state is STOPPED
    assert world == {}


async def test_work_of_a_hub_that_lives_is_left_to_it(
    open_hub: OpenParts, world: dict[str, Running]
) -> None:
    """Two replicas on one database; the second takes over when the first one's lease is over."""
    clock = Clock()
    first = await open_hub(world=world, clock=clock)
    first.spawner.behaviour = held_by(asyncio.Event())
    row = await first.servers.start("alice", "")
    await first.spawner.starting.wait()
    second = await open_hub(world=world, clock=clock, holder="second-hub")
    await second.reconciler.once()
    await second.idle(row.id)
    assert second.spawner.calls == []
    await first.pass_time(31)
    await second.reconciler.once()
    assert (await second.settled()).state is READY


async def test_trouble_with_one_is_nobody_elses(
    before: Parts, open_hub: OpenParts, world: dict[str, Running], caplog: pytest.LogCaptureFixture
) -> None:
    await before.ready("bob")
    before.spawner.put("nobody-knows-it", "orphan")
    after = await next_hub(open_hub, world)
    refreshed: list[str] = []

    async def refresh(workspace: object) -> None:
        refreshed.append(str(workspace))
        raise OSError("the disk is full")

    after.spawner.refresh = refresh  # type: ignore[method-assign]
    await after.reconciler.once()
    assert len(refreshed) == 2
    assert "Comparing workspace alice with what runs failed" in caplog.text
    assert "nobody-knows-it" not in world


async def test_it_goes_on_comparing(
    before: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[int] = []

    async def once() -> None:
        times.append(1)
        if len(times) == 1:
            raise OSError("the cluster does not answer")

    monkeypatch.setattr(before.reconciler, "once", once)
    monkeypatch.setattr(before.reconciler, "_seconds", 0.001)
    work = before.driver._tasks.spawn(before.reconciler.keep(), "compare")
    await until(lambda: len(times) > 2)
    work.cancel()
    assert "the cluster does not answer" in caplog.text
