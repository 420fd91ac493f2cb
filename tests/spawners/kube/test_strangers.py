"""What somebody else has made, with the labels of a workspace that is not theirs."""

import asyncio
import copy
from typing import Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import KubeSpawner
from tests.kube_api.objects import Object
from tests.spawners.kube.house import House, workspace

THEIRS: dict[str, Any] = {
    "enable_user_namespaces": True,
    "user_namespace_template": "people-{username}",
}
POD = "workspace-alice"
TRAP = "ssh-ed25519 AAAATRAP"


async def _trap(house: House, spawner: KubeSpawner, alices: Workspace) -> None:
    """Have mallory make a pod in mallory's namespace that says it is alice's."""
    await house.start(spawner, workspace("mallory"))
    own = house.cluster.get("pods", "people-mallory", "workspace-mallory")
    assert own is not None
    pod: Object = {key: copy.deepcopy(own[key]) for key in ("apiVersion", "kind", "spec")}
    pod["spec"].pop("nodeName", None)
    pod["metadata"] = {
        "name": "trap",
        "namespace": "people-mallory",
        "labels": {**own["metadata"]["labels"], "kworkspace.io/server": alices.id},
        "finalizers": ["example.org/mine"],
        "annotations": {
            **own["metadata"]["annotations"],
            "kworkspace.io/host-key": TRAP,
            "kworkspace.io/slug": alices.slug,
            "kworkspace.io/secret": "somebody-elses",
        },
    }
    house.cluster.add(pod)
    await house.cluster.wait(
        "pods", lambda one: one["metadata"]["name"] == "trap" and "podIP" in one.get("status", {})
    )


async def test_nobody_is_led_into_another_users_namespace(house: House) -> None:
    spawner = await house.open(**THEIRS)
    alices = workspace()
    await _trap(house, spawner, alices)
    assert await spawner.find(alices.id, "alice", user="alice") is None
    running = await house.start(spawner, alices)
    assert running.host_key != TRAP
    pod = house.cluster.get("pods", "people-alice", POD)
    assert pod is not None
    assert running.object_uid == pod["metadata"]["uid"]
    assert await spawner.find(alices.id, "alice", user="alice") == running


async def test_keys_go_to_no_secret_that_another_user_names(house: House) -> None:
    spawner = await house.open(**THEIRS)
    alices = workspace()
    await house.start(spawner, alices)
    await _trap(house, spawner, alices)
    await spawner.refresh(workspace(id=alices.id, authorized_keys=("ssh-ed25519 AAAA new",)))
    names = [one["metadata"]["name"] for one in house.cluster.every("secrets", "people-alice")]
    assert names == [f"{POD}-ssh"]


async def test_nobody_waits_for_what_another_user_holds(house: House) -> None:
    spawner = await house.open(**THEIRS, delete_grace_period=0, stop_timeout=1)
    alices = workspace()
    await house.start(spawner, alices)
    await _trap(house, spawner, alices)
    async with asyncio.timeout(10):
        await spawner.stop(alices.id, "alice")
        await spawner.delete(alices.id, "alice", user="alice")
    assert house.cluster.every("pods", "people-alice") == []
    trap = house.cluster.get("pods", "people-mallory", "trap")
    assert trap is not None
    assert trap["metadata"]["deletionTimestamp"]
