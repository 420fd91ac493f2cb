"""The contract of spawners: what the hub relies on, kept by the real ones and by the tests' own."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.base import Exit, Running, Spawner, Workspace, call_hook
from kworkspace.spawners.kube import KubeSpawner
from kworkspace.spawners.local import LocalSpawner
from kworkspace.spawners.local.state import Paths, read_state
from tests.hub.clock import until
from tests.hub.fake_spawner import FakeSpawner
from tests.kube_api.cluster import Cluster, serve

DEADLINE = 30.0


class House:
    """A spawner, and others after it with the same directory, as after a hub's restart.

    Args:
        kind: of the spawners.
        directory: of the hub.
        cluster: where there is one.
    """

    def __init__(self, kind: type[Spawner], directory: Path, cluster: Cluster | None) -> None:
        self.kind, self.directory, self.cluster = kind, directory, cluster
        self.exits: list[Exit] = []
        self.world: dict[str, Running] = {}
        self.spawners: list[Spawner] = []

    async def open(self, **options: Any) -> Spawner:
        if self.kind is FakeSpawner:
            options["world"] = self.world
        if self.cluster is not None:
            options |= {"kubeconfig": str(self.cluster.kubeconfig), "namespace": "workspaces"}
        spawner = self.kind(
            hub_id="hub",
            data_dir=self.directory,
            on_exit=self.exits.append,
            stop_timeout=1,
            **options,
        )
        await spawner.open()
        self.spawners.append(spawner)
        return spawner

    def crash(self, spawner: Spawner, running: Running) -> None:
        """Have a workspace end by itself."""
        if isinstance(spawner, FakeSpawner):
            spawner.crash(running)
            return
        if self.cluster is not None:
            self.cluster.kubelet.finish("workspaces", f"workspace-{running.slug}", 3)
            return
        state = read_state(Paths(self.directory / "workspaces" / running.slug).state)
        assert state is not None
        os.kill(state.pid, signal.SIGKILL)

    def has_home(self, slug: str) -> bool:
        """Whether there are files of a workspace."""
        if self.kind is FakeSpawner:
            return any(slug in spawner.homes for spawner in self.spawners)  # type: ignore[attr-defined]
        if self.cluster is not None:
            claims = self.cluster.every("persistentvolumeclaims", "workspaces")
            return f"workspace-{slug}" in [claim["metadata"]["name"] for claim in claims]
        return (self.directory / "workspaces" / slug).exists()

    async def close(self, spawner: Spawner) -> None:
        """End a hub; what runs goes on."""
        self.spawners.remove(spawner)
        await spawner.aclose()

    async def aclose(self) -> None:
        for spawner in self.spawners:
            for running in await spawner.running():
                await spawner.stop(running.id, running.slug)
            await spawner.aclose()


@pytest.fixture(params=[FakeSpawner, LocalSpawner, KubeSpawner])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as exits:
        cluster = None
        if request.param is KubeSpawner:
            cluster = await exits.enter_async_context(serve(tmp_path, cheap=0.0, pace=0.01))
        house = House(request.param, tmp_path, cluster)
        async with asyncio.timeout(DEADLINE):
            yield house
            await house.aclose()


@pytest.fixture
async def spawner(house: House) -> Spawner:
    return await house.open()


def workspace(slug: str = "alice") -> Workspace:
    return Workspace(id=str(uuid.uuid4()), user="alice", name="", slug=slug)


def ignore(_percent: int, _message: str) -> None: ...


async def test_start_is_idempotent(spawner: Spawner) -> None:
    alices = workspace()
    told: list[tuple[int, str]] = []
    running = await spawner.start(alices, lambda percent, text: told.append((percent, text)))
    assert (running.id, running.slug) == (alices.id, "alice")
    assert running.object_uid
    assert all(0 <= percent <= 100 and text for percent, text in told)
    assert await spawner.start(alices, ignore) == running
    assert await spawner.find(alices.id, "alice") == running
    assert list(await spawner.running()) == [running]


async def test_starts_at_once_make_one(spawner: Spawner) -> None:
    alices = workspace()
    found = await asyncio.gather(*(spawner.start(alices, ignore) for _ in range(4)))
    assert len({running.object_uid for running in found}) == 1
    assert list(await spawner.running()) == found[:1]


async def test_another_hub_process_adopts(house: House, spawner: Spawner) -> None:
    alices = workspace()
    running = await spawner.start(alices, ignore)
    await house.close(spawner)
    after = await house.open()
    assert list(await after.running()) == [running]
    assert await after.find(alices.id, "alice") == running
    assert await after.start(alices, ignore) == running


async def test_stop_is_idempotent(house: House, spawner: Spawner) -> None:
    alices = workspace()
    await spawner.stop(alices.id, "alice")
    await spawner.start(alices, ignore)
    await asyncio.gather(*(spawner.stop(alices.id, "alice") for _ in range(3)))
    await spawner.stop(alices.id, "alice")
    assert await spawner.find(alices.id, "alice") is None
    assert list(await spawner.running()) == []
    assert house.exits == [], "an end that was asked for is no exit"


async def test_another_start_is_another_incarnation(spawner: Spawner) -> None:
    alices = workspace()
    first = await spawner.start(alices, ignore)
    await spawner.stop(alices.id, "alice")
    second = await spawner.start(alices, ignore)
    assert second.object_uid != first.object_uid


async def test_stop_is_fenced(spawner: Spawner) -> None:
    alices = workspace()
    first = await spawner.start(alices, ignore)
    await spawner.stop(alices.id, "alice", first.object_uid)
    assert await spawner.find(alices.id, "alice") is None
    second = await spawner.start(alices, ignore)
    await spawner.stop(alices.id, "alice", first.object_uid)
    assert await spawner.find(alices.id, "alice") == second
    await spawner.stop(str(uuid.uuid4()), "alice")
    assert await spawner.find(alices.id, "alice") == second, "another server's stop"


@pytest.mark.parametrize("steps", [1, 3, 10, 40])
async def test_cancelled_start_and_stop_leave_nothing(
    house: House, spawner: Spawner, steps: int
) -> None:
    alices = workspace()
    start = asyncio.get_running_loop().create_task(spawner.start(alices, ignore))
    for _ in range(steps):
        await asyncio.sleep(0.001)
    start.cancel()
    await asyncio.wait([start])
    await spawner.stop(alices.id, "alice")
    assert await spawner.find(alices.id, "alice") is None
    assert list(await spawner.running()) == []
    assert house.exits == []
    assert (await spawner.start(alices, ignore)).id == alices.id


async def test_stop_overtakes_a_start(spawner: Spawner) -> None:
    """Whoever waits for the start is told, and nothing of it is left."""
    alices = workspace()
    start = asyncio.get_running_loop().create_task(spawner.start(alices, ignore))
    await asyncio.sleep(0.005)
    await spawner.stop(alices.id, "alice")
    await asyncio.wait([start])
    assert start.exception() is None or isinstance(start.exception(), StartFailed)
    assert await spawner.find(alices.id, "alice") is None


async def test_exit_is_told_once(house: House, spawner: Spawner) -> None:
    alices, bobs = workspace(), workspace("bob")
    running = await spawner.start(alices, ignore)
    other = await spawner.start(bobs, ignore)
    house.crash(spawner, running)
    await until(lambda: house.exits)
    [ended] = house.exits
    assert (ended.id, ended.object_uid) == (alices.id, running.object_uid)
    assert ended.reason
    assert "\n" not in ended.reason
    await spawner.stop(alices.id, "alice")
    await spawner.stop(alices.id, "alice", running.object_uid)
    assert await spawner.find(alices.id, "alice") is None
    assert list(await spawner.running()) == [other]
    again = await spawner.start(alices, ignore)
    assert again.object_uid != running.object_uid
    assert house.exits == [ended]


async def test_refresh_leaves_it_running(spawner: Spawner) -> None:
    alices = workspace()
    await spawner.refresh(alices)
    running = await spawner.start(alices, ignore)
    await spawner.refresh(alices)
    assert await spawner.find(alices.id, "alice") == running


async def test_delete_ends_it_and_removes_the_home(house: House, spawner: Spawner) -> None:
    alices, bobs = workspace(), workspace("bob")
    await spawner.delete(alices.id, "alice")  # it never was
    first = await spawner.start(alices, ignore)
    other = await spawner.start(bobs, ignore)
    assert house.has_home("alice")
    await asyncio.gather(*(spawner.delete(alices.id, "alice") for _ in range(3)))
    assert not house.has_home("alice")
    assert list(await spawner.running()) == [other]
    assert house.exits == []
    await spawner.delete(alices.id, "alice")
    # Somebody else has the slug from now on.
    again = await spawner.start(workspace(), ignore)
    assert again.object_uid != first.object_uid
    await spawner.stop(alices.id, "alice")
    assert await spawner.find(again.id, "alice") == again


async def test_delete_overtakes_a_start(house: House, spawner: Spawner) -> None:
    alices = workspace()
    for pause in (0.0, 0.01, 0.05):
        start = asyncio.get_running_loop().create_task(spawner.start(alices, ignore))
        await asyncio.sleep(pause)
        await spawner.delete(alices.id, "alice")
        await asyncio.wait([start])
        assert start.exception() is None or isinstance(start.exception(), StartFailed)
        assert await spawner.find(alices.id, "alice") is None
        assert not house.has_home("alice")


async def test_hooks_are_the_hubs(house: House) -> None:
    """The hub calls them, with its own time limits; a spawner that did so too would do it twice."""
    called: list[object] = []
    hooks = {"pre_spawn_hook": called.append, "post_stop_hook": called.append}
    spawner = await house.open(**hooks)
    alices = workspace()
    await spawner.start(alices, ignore)
    await spawner.stop(alices.id, "alice")
    assert called == []


async def plain(hook: Callable[..., Any] | None) -> Any:
    return await call_hook(hook, 1, 2)


async def test_hooks_may_be_coroutine_functions() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    assert await plain(None) is None
    assert await plain(lambda a, b: a - b) == -1
    assert await plain(add) == 3
