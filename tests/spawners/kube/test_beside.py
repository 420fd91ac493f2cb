"""Work beside a home: its log, its result, where it runs, and that nothing of it is left."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kworkspace.cli.client.errors import Conflict, KworkspaceError
from kworkspace.spawners.base import Task, TaskResult, Workspace
from kworkspace.spawners.kube import KubeSpawner
from tests.hub.clock import until
from tests.kube_api.node.images import Image
from tests.spawners.kube.house import NAMESPACE, House, workspace

DEADLINE = 20.0


@pytest.fixture
async def alices(house: House) -> AsyncIterator[Workspace]:
    """A workspace with a home, stopped."""
    spawner = await house.open()
    alices = workspace()
    await house.start(spawner, alices)
    await spawner.stop(alices.id, "alice")
    await house.close(spawner)
    images = house.cluster.kubelet.images
    images["backup:1"] = Image(exit_code=0, log=("one", "two"), runs_for=0.05)
    images["broken:1"] = Image(exit_code=3, log=("no such bucket",), runs_for=0.05)
    images["slow:1"] = Image(ready_after=None)
    async with asyncio.timeout(DEADLINE):
        yield alices


def task(image: str = "backup:1", seconds: int = 60) -> Task:
    return Task(name="backup", argv=("restic", "backup", "."), image=image, seconds=seconds)


async def run(spawner: KubeSpawner, alices: Workspace, task: Task) -> tuple[TaskResult, list[str]]:
    lines: list[str] = []
    return await spawner.run_beside(alices, task, lines.append), lines


def nothing_left(house: House) -> bool:
    return "jobs" not in house.left() and all(
        name == "workspace-alice" for name in house.names("pods")
    )


async def test_log_and_result(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    assert await run(spawner, alices, task()) == (TaskResult(0, ""), ["one", "two"])
    await until(lambda: nothing_left(house))
    assert await run(spawner, alices, task("broken:1")) == (
        TaskResult(3, "no such bucket"),
        ["no such bucket"],
    )
    await until(lambda: nothing_left(house))
    assert house.exits == []
    assert list(await spawner.running()) == []


async def test_beside_what_runs(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    running = await house.start(spawner, alices)
    work = asyncio.get_running_loop().create_task(run(spawner, alices, task("slow:1")))
    found = await house.cluster.wait(
        "pods", lambda pod: bool(pod["metadata"].get("ownerReferences"))
    )
    assert list(await spawner.running()) == [running], "it is no workspace"
    volumes = [one.get("persistentVolumeClaim") for one in found["spec"]["volumes"]]
    assert {"claimName": "workspace-alice"} in volumes
    work.cancel()
    await asyncio.wait([work])
    assert work.cancelled()
    await until(lambda: nothing_left(house))
    assert await spawner.find(alices.id, "alice") == running
    assert house.exits == []


async def test_cancelled_at_any_point(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    for steps in range(0, 40, 4):
        work = asyncio.get_running_loop().create_task(run(spawner, alices, task("slow:1")))
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        work.cancel()
        await asyncio.wait([work])
        assert "jobs" not in house.left()
    await until(lambda: nothing_left(house))


async def test_one_pod_at_a_time(house: House, alices: Workspace) -> None:
    def alone(claim: dict[str, dict[str, object]]) -> None:
        claim["spec"]["accessModes"] = ["ReadWriteOncePod"]

    house.cluster.edit("persistentvolumeclaims", NAMESPACE, "workspace-alice", alone)
    spawner = await house.open()
    assert (await run(spawner, alices, task()))[0] == TaskResult(0, "")
    await house.start(spawner, alices)
    with pytest.raises(Conflict, match="stop the workspace first"):
        await run(spawner, alices, task())
    assert nothing_left(house)


async def test_an_image_that_is_not_there(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    with pytest.raises(KworkspaceError, match="The task backup did not run: the name of the image"):
        await run(spawner, alices, task("UPPER:1"))
    await until(lambda: nothing_left(house))


async def test_one_that_takes_too_long(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    with pytest.raises(KworkspaceError, match="The task backup was ended after at most 1 s"):
        await run(spawner, alices, task("slow:1", seconds=1))
    await until(lambda: nothing_left(house))


async def test_one_that_is_refused(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    house.cluster.faults.fail_next(403, verb="create", kind="jobs", message="jobs is forbidden: no")
    with pytest.raises(KworkspaceError, match="The task backup cannot be run: "):
        await run(spawner, alices, task())
    assert nothing_left(house)


async def test_a_pod_that_is_refused(house: House, alices: Workspace) -> None:
    """As by a quota: the Job is made, and its pod is not."""
    spawner = await house.open()
    quota = {"metadata": {"name": "none", "namespace": NAMESPACE}, "spec": {"hard": {"pods": "0"}}}
    house.cluster.add({"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    words = "The task cannot be run: a quota of the cluster is used up: none, requested: pods=1"
    with pytest.raises(KworkspaceError, match=words):
        await run(spawner, alices, task())
    await until(lambda: nothing_left(house))


async def test_streams_that_break(house: House, alices: Workspace) -> None:
    spawner = await house.open()
    house.cluster.kubelet.images["slow:1"] = Image(
        exit_code=0, log=("one", "two", "three"), runs_for=1.0
    )
    work = asyncio.get_running_loop().create_task(run(spawner, alices, task("slow:1")))
    await house.cluster.wait("pods", lambda pod: pod["status"].get("phase") == "Running")
    house.cluster.faults.drop_watches()
    assert await work == (TaskResult(0, ""), ["one", "two", "three"])
