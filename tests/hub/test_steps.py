"""Deletion, and what a step does when it is late; starts and stops are in `test_driver.py`."""

import asyncio
from typing import Any

import pytest

from kworkspace.cli.client.errors import Conflict, KworkspaceError, StartFailed
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.driver import is_pending
from kworkspace.hub.leases import LeaseLost
from kworkspace.hub.starts import Limits
from kworkspace.hub.steps import learn
from kworkspace.spawners.base import Exit
from tests.hub.clock import until
from tests.hub.fake_spawner import held_by
from tests.hub.parts import OpenParts, Parts

STOPPED = ServerState.STOPPED


@pytest.fixture
async def parts(open_hub: OpenParts) -> Parts:
    """A hub in which alice has a workspace `gpu`, that runs."""
    parts = await open_hub(limits=Limits(allow_named_servers=True))
    await parts.servers.start("alice", "gpu")
    await parts.settled("alice", "gpu")
    parts.spawner.calls.clear()
    return parts


async def test_what_runs_is_stopped_and_deleted(parts: Parts) -> None:
    row = await parts.servers.delete("alice", "gpu")
    assert (row.state, row.deleting, row.desired_running) == (ServerState.STOPPING, True, False)
    assert await parts.servers.gone([row.id], 10)
    await parts.idle(row.id)
    assert [call for call, _ in parts.spawner.calls] == ["stop", "delete", "stop"]
    assert (parts.spawner.world, parts.spawner.homes) == ({}, set())
    assert parts.readmodel.server(row.id) is None
    actions = [action for action, *_ in await parts.events()]
    assert actions[-3:] == ["server.delete", "server.stopped", "server.deleted"]
    assert (await parts.servers.create("alice", "gpu"))[1], "the name is free again"


async def test_what_is_stopped_is_deleted(parts: Parts) -> None:
    row = await parts.servers.stop("alice", "gpu")
    await parts.settled("alice", "gpu")
    parts.spawner.calls.clear()
    await parts.servers.delete("alice", "gpu")
    assert await parts.servers.gone([row.id], 10)
    assert [call for call, _ in parts.spawner.calls] == ["delete", "stop"]


async def test_it_is_tried_until_it_works(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kworkspace.hub.driver.RETRY_SECONDS", (0.01,))
    monkeypatch.setattr("kworkspace.hub.steps.DELETE_SECONDS", 0.01)
    delete, troubles = parts.spawner.delete, [1, 2]

    async def trouble(id: str, slug: str, *, user: str = "", name: str = "") -> None:
        match troubles.pop() if troubles else 0:
            case 0:
                assert (user, name) == ("alice", "gpu")
                await delete(id, slug)
            case 1:
                await asyncio.Event().wait()
            case _:
                raise KworkspaceError("the disk is away")

    parts.spawner.delete = trouble  # type: ignore[method-assign]
    row = await parts.servers.delete("alice", "gpu")
    assert await parts.servers.gone([row.id], 10)
    assert "the disk is away; again in" in caplog.text
    assert "was not deleted in 0 s; again in" in caplog.text


async def test_nothing_starts_what_is_being_deleted(parts: Parts) -> None:
    go_on = asyncio.Event()
    parts.spawner.stop_behaviour = held_by(go_on)
    row = await parts.servers.delete("alice", "gpu")
    for request in (parts.servers.start, parts.servers.create):
        with pytest.raises(Conflict, match="alice's workspace gpu is being deleted"):
            await request("alice", "gpu")
    again = await parts.servers.delete("alice", "gpu")
    assert again.generation == row.generation
    go_on.set()
    assert await parts.servers.gone([row.id], 10)


async def test_user_who_is_to_go_goes_with_the_last_one(parts: Parts) -> None:
    await parts.people.add(["carol"])
    for name in ("", "gpu"):
        await parts.servers.start("carol", name)
        await parts.settled("carol", name)
    rows = list(parts.readmodel.servers_of("carol").values())
    await parts.people.remove("carol")
    parts.servers.see_to(row.id for row in rows)
    assert await parts.servers.gone([row.id for row in rows], 10)
    await until(lambda: parts.readmodel.user("carol") is None)
    assert ("user.removed", "ok", "hub", "carol") in await parts.events()
    assert parts.readmodel.user("alice") is not None


async def test_whoever_is_late_deletes_nothing(parts: Parts) -> None:
    row = await parts.servers.stop("alice", "gpu")
    row = await parts.settled("alice", "gpu")
    with pytest.raises(LeaseLost):
        await parts.steps.delete(row)
    assert await parts.leases.claim(f"server:{row.id}")
    await parts.steps.delete(row)
    assert parts.readmodel.server(row.id) == row, "nobody wants it deleted"


async def test_learn(parts: Parts) -> None:
    row = parts.readmodel.server_of("alice", "gpu")
    assert row is not None
    assert not is_pending(row)
    server: Any = None
    assert learn(parts.readmodel, row.id, server) is None
    assert parts.readmodel.server_of("alice", "gpu") is None


ROGUE = "it said\x00\x1b[2J\u202e" + "x" * 5_000
KEPT = "it said [2J " + "x" * 988


async def test_what_a_workspace_says_of_its_failure_is_one_line_of_some_length(
    parts: Parts,
) -> None:
    async def fail(_: object) -> None:
        raise StartFailed(ROGUE)

    parts.spawner.behaviour = fail
    await parts.servers.start("alice", "")
    assert (await parts.settled("alice")).error == KEPT


async def test_what_a_workspace_says_of_its_end_is_one_line_of_some_length(parts: Parts) -> None:
    row = parts.readmodel.server_of("alice", "gpu")
    assert row is not None
    assert row.object_uid is not None
    parts.driver.ended(Exit(row.id, row.object_uid, ROGUE))
    await until(lambda: parts.readmodel.server(row.id) != row)
    assert (await parts.settled("alice", "gpu")).error == KEPT
