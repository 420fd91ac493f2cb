"""What was asked for is made true, whatever the spawner, a hook or another hub does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.cli.client.models import Progress, ServerState
from kworkspace.hub.audit import Origin, origin
from kworkspace.hub.db import models as db
from kworkspace.hub.leases import Leases
from kworkspace.spawners.base import Exit, Workspace
from tests.hub.clock import DEADLINE, until
from tests.hub.fake_spawner import forever, held_by
from tests.hub.parts import Parts

READY, STOPPED = ServerState.READY, ServerState.STOPPED


async def refuse(_: object) -> None:
    raise StartFailed("the image cannot be pulled")


async def break_down(_: object) -> None:
    raise ZeroDivisionError("secret detail")


async def refuse_as_the_hub(_: object) -> None:
    raise KworkspaceError("the cluster does not answer")


async def cancel_itself(_: object) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (refuse, "the image cannot be pulled"),
        (refuse_as_the_hub, "the cluster does not answer"),
        (break_down, "an unexpected error (ZeroDivisionError); an admin finds it in the log"),
        (cancel_itself, "it was cancelled; an admin finds more in the log"),
    ],
)
async def test_failed_start(
    parts: Parts, behaviour: Callable[[object], Awaitable[None]], error: str
) -> None:
    """It says why, leaves nothing behind, is nobody else's trouble, and can be tried again."""

    async def of_alice(workspace: Workspace) -> None:
        if workspace.user == "alice":
            parts.spawner.put(workspace.id, workspace.slug)
            await behaviour(workspace)

    parts.spawner.behaviour = of_alice
    row = await parts.servers.start("alice", "")
    await parts.ready("bob")
    row = await parts.settled("alice")
    assert (row.state, row.desired_running, row.error) == (STOPPED, False, error)
    assert ("stop", "alice") in parts.spawner.calls
    assert row.id not in parts.spawner.world
    assert ("server.start-failed", "failed", "hub", "alice") in await parts.events()
    last = [item async for item in parts.board.follow(row)][-1]
    assert last == Progress(progress=100, failed=True, message=error)
    parts.spawner.behaviour = None
    row = await parts.ready("alice")
    assert row.error == ""


async def test_start_timeout(parts: Parts) -> None:
    async def hold(_: object) -> None:
        await forever()

    parts.spawner.start_timeout = 1
    parts.spawner.behaviour = hold
    await parts.servers.start("alice", "")
    row = await parts.settled()
    assert row.error == "it was not ready after 1 s (c.FakeSpawner.start_timeout)"


async def test_a_spawner_may_keep_the_start_timeout_itself(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose workspaces wait for capacity: the hub does not end what it waits for."""
    go_on = asyncio.Event()
    limits: list[float | None] = []
    timeout = asyncio.timeout

    def record(seconds: float | None) -> asyncio.Timeout:
        limits.append(seconds)
        return timeout(seconds)

    monkeypatch.setattr(parts.spawner, "start_limit", lambda: None)
    parts.spawner.behaviour = held_by(go_on)
    monkeypatch.setattr("kworkspace.hub.steps.asyncio.timeout", record)
    await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    assert limits[-2:] == [None, parts.spawner.start_timeout], "the second is for its hook"
    go_on.set()
    assert (await parts.settled()).state is READY


async def test_hook_that_never_returns(parts: Parts) -> None:
    async def hook(_spawner: object, _workspace: Workspace) -> None:
        await forever()

    parts.spawner.start_timeout = 1
    parts.spawner.pre_spawn_hook = hook
    await parts.servers.start("alice", "")
    assert (await parts.settled()).error.startswith("it was not ready after 1 s")
    assert parts.spawner.calls == [("stop", "alice")]


async def test_hooks(parts: Parts) -> None:
    seen: list[Workspace] = []

    def before(spawner: object, workspace: Workspace) -> Workspace:
        assert spawner is parts.spawner
        return replace(workspace, slug="other")

    async def after(_spawner: object, workspace: Workspace) -> None:
        seen.append(workspace)

    parts.spawner.pre_spawn_hook, parts.spawner.post_stop_hook = before, after
    await parts.ready()
    await parts.servers.stop("alice", "")
    await parts.settled()
    assert parts.spawner.calls[0] == ("start", "other")
    assert [(workspace.user, workspace.slug) for workspace in seen] == [("alice", "alice")]


async def test_pre_spawn_hook_that_raises(parts: Parts) -> None:
    def hook(_spawner: object, _workspace: Workspace) -> None:
        raise StartFailed("alice has no quota left")

    parts.spawner.pre_spawn_hook = hook
    await parts.servers.start("alice", "")
    assert (await parts.settled()).error == "alice has no quota left"


@pytest.mark.parametrize("raises", [True, False])
async def test_post_stop_hook_holds_nothing_up(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, raises: bool
) -> None:
    """One that raises, or never returns, does not keep the workspace from starting again."""

    async def hook(_spawner: object, _workspace: Workspace) -> None:
        if raises:
            raise RuntimeError
        await forever()

    monkeypatch.setattr("kworkspace.hub.steps.POST_STOP_HOOK_SECONDS", 0.01)
    parts.spawner.post_stop_hook = hook
    await parts.ready()
    await parts.servers.stop("alice", "")
    assert (await parts.settled()).state is STOPPED
    assert "post_stop_hook failed" in caplog.text
    await parts.ready()


async def test_stop_is_tried_until_it_works(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kworkspace.hub.driver.RETRY_SECONDS", (0.01,))
    monkeypatch.setattr("kworkspace.spawners.base.STOP_MARGIN_SECONDS", -0.99)
    parts.spawner.stop_timeout = 1
    troubles: list[Callable[[], Awaitable[None]]] = [forever, lambda: refuse(None)]

    async def trouble(_slug: str) -> None:
        if troubles:
            await troubles.pop()()

    await parts.ready()
    parts.spawner.stop_behaviour = trouble
    await parts.servers.stop("alice", "")
    assert (await parts.settled()).state is STOPPED
    assert parts.spawner.world == {}
    assert "the image cannot be pulled; again in" in caplog.text
    assert "alice did not stop within 0 s; again in" in caplog.text


async def test_exit(parts: Parts) -> None:
    row = await parts.ready()
    parts.spawner.crash(parts.spawner.world[row.id])
    await until(lambda: not is_ready(parts, row.id))
    row = await parts.settled()
    assert (row.state, row.error) == (STOPPED, "it crashed")
    assert (row.desired_running, row.object_uid) == (False, None)
    assert parts.spawner.calls == [("start", "alice"), ("stop", "alice")], "nothing is left"
    assert ("server.ended", "ended", "hub", "alice") in await parts.events()
    await parts.ready()


def is_ready(parts: Parts, id: str) -> bool:
    row = parts.readmodel.server(id)
    return row is not None and row.state is READY


async def test_exit_of_an_earlier_incarnation_is_nothing(parts: Parts) -> None:
    row = await parts.ready()
    parts.driver.ended(Exit(row.id, "an earlier one", "it crashed"))
    parts.driver.ended(Exit("unknown", "x", "it crashed"))
    await parts.idle(row.id)
    await parts.idle("unknown")
    assert parts.readmodel.server(row.id) == row
    assert parts.driver._exits == {}


async def test_exit_before_ready_is_committed(parts: Parts) -> None:
    """The workspace ends right after the spawner has said that it is up."""
    start = parts.spawner.start

    async def start_and_crash(*args: Any) -> Any:
        running = await start(*args)
        parts.spawner.crash(running)
        return running

    parts.spawner.start = start_and_crash  # type: ignore[assignment,method-assign]
    row = await parts.servers.start("alice", "")
    await parts.idle(row.id)
    row = await parts.settled()
    assert (row.state, row.error) == (STOPPED, "it crashed")


async def test_late_actor_is_fenced_by_the_lease(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = asyncio.Event()
    parts.spawner.behaviour = held_by(go_on)
    row = await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    await parts.pass_time(60)
    other = Leases(store=parts.store, clock=parts.clock, holder="other-hub")
    assert await other.claim(f"server:{row.id}")
    go_on.set()
    await until(lambda: "another hub process has taken over" in caplog.text)
    assert parts.readmodel.server(row.id) == row
    async with parts.store.begin() as session:
        lease = await session.get(db.Lease, f"server:{row.id}")
        assert lease is not None
        assert lease.holder == "other-hub"


async def test_late_actor_is_fenced_by_the_generation(parts: Parts) -> None:
    """The result of a start that a newer request has overtaken in the database is not written."""
    answers: asyncio.Queue[object] = asyncio.Queue()
    commit = parts.steps._commit_ready

    async def observe(started: Any) -> Any:
        answers.put_nowait(await commit(started))
        await forever()

    async def overtake() -> None:
        async with parts.store.begin() as session:  # another hub, whose news are still on the way
            await session.execute(text("UPDATE servers SET generation = 7"))

    parts.steps._commit_ready = observe  # type: ignore[assignment]
    go_on = asyncio.Event()
    parts.spawner.behaviour = held_by(go_on)
    await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    await overtake()
    go_on.set()
    async with asyncio.timeout(DEADLINE):
        assert await answers.get() is False


async def test_work_that_another_hub_holds_is_left_to_it(parts: Parts) -> None:
    row = await parts.ready()
    other = Leases(store=parts.store, clock=parts.clock, holder="other-hub")
    assert await other.claim(f"server:{row.id}")
    await parts.servers.stop("alice", "")
    await parts.idle(row.id)
    assert ("stop", "alice") not in parts.spawner.calls
    await parts.pass_time(31)
    parts.driver.kick(row.id)
    assert (await parts.settled()).state is STOPPED


async def test_events_of_the_driver_are_the_hubs(parts: Parts) -> None:
    """The task serves whoever asks; it must not write one person's name to another's request."""
    origin.set(Origin(actor="alice"))
    row = await parts.ready()
    origin.set(Origin(actor="ada"))
    await parts.servers.stop("alice", "")
    await parts.settled()
    actors = {action: actor for action, _, actor, _ in await parts.events()}
    assert actors["server.start"] == "alice"
    assert actors["server.stop"] == "ada"
    assert (actors["server.ready"], actors["server.stopped"]) == ("hub", "hub")
    assert row.user == "alice"


@pytest.mark.parametrize("gone", [True, False])
async def test_check_is_repeated_when_it_fails(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """A doubt is not forgotten because the spawner could not be asked."""
    monkeypatch.setattr("kworkspace.hub.driver.RETRY_SECONDS", (0.01,))
    row = await parts.ready()
    if gone:
        parts.spawner.world.clear()
    find, failures = parts.spawner.find, [1, 2]

    async def fail_first(id: str, slug: str, **whose: str) -> Any:
        if failures:
            failures.pop()
            raise OSError("the cluster does not answer")
        return await find(id, slug, **whose)

    parts.spawner.find = fail_first  # type: ignore[method-assign]
    parts.driver.check(row.id)
    await parts.idle(row.id)
    assert failures == []
    now = parts.readmodel.server(row.id)
    assert now is not None
    assert now.state is (STOPPED if gone else READY)
    assert parts.driver._unsure == set()


async def test_nothing_is_left_when_it_is_closed(parts: Parts) -> None:
    async def hold(_: object) -> None:
        await forever()

    parts.spawner.behaviour = hold
    row = await parts.servers.start("alice", "")
    await parts.spawner.starting.wait()
    await parts.driver.aclose()
    assert parts.driver._tasks._tasks == set()
    now = parts.readmodel.server(row.id)
    assert now is not None
    assert now.state is ServerState.STARTING
