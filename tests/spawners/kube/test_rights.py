"""The hub's rights are what it uses, no more and no less."""

import asyncio

import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.base import Task
from kworkspace.spawners.kube.access import RIGHTS, rules
from tests.hub.clock import until
from tests.kube_api.node.images import Image
from tests.spawners.kube.house import NAMESPACE, House, workspace

DEADLINE = 30.0
# What Kubernetes asks for, and a list of calls does not show; or what a race decides.
UNSEEN = {
    ("create", "services"),  # of an apply that makes it
    ("create", "pods/exec"),  # of a GET that opens a WebSocket, since 1.35
    ("get", "jobs"),  # of one whose pod is not there yet
}


async def test_each_right_is_used_and_none_is_missing(house: House) -> None:
    cluster = house.cluster
    cluster.metrics.installed = True
    cluster.kubelet.images["cheap:1"] = Image(exec=lambda _argv, _stdin: (0, b"", b""))
    config = cluster.user("hub", rules(), NAMESPACE)
    options = {"kubeconfig": str(config), "service_type": "NodePort"}
    alices, bobs = workspace(authorized_keys=("ssh-ed25519 AAAA one",)), workspace("bob")
    async with asyncio.timeout(DEADLINE):
        small = await house.open(storage_capacity="1Gi", **options)
        await house.start(small, alices)
        await small.stop(alices.id, "alice")
        await house.close(small)
        spawner = await house.open(storage_capacity="2Gi", **options)
        await house.start(spawner, alices)
        await spawner.refresh(workspace(id=alices.id, authorized_keys=("ssh-ed25519 AAAA two",)))
        await spawner.activity()
        cluster.faults.fail_next(403, verb="create", kind="persistentvolumeclaims")
        with pytest.raises(StartFailed):
            await house.start(spawner, workspace("dave"))
        task = Task("look", ("true",), image="completed:1")
        assert (await spawner.run_beside(alices, task, lambda _line: None)).exit_code == 0
        cluster.kubelet.images["slow:1"] = Image(gate=(gate := asyncio.Event()))
        await house.close(spawner)
        slow = await house.open(image="slow:1", **options)
        start = asyncio.get_running_loop().create_task(house.start(slow, bobs))
        await until(lambda: "Pulling image slow:1" in house.messages)
        await house.close(slow)
        await asyncio.wait([start])
        assert isinstance(start.exception(), StartFailed)
        failing = await house.open(image="crash:1", **options)
        adopted = asyncio.get_running_loop().create_task(house.start(failing, bobs))
        await until(lambda: ("hub", "list", "events") in _used(house))
        gate.set()
        await adopted
        with pytest.raises(StartFailed, match="broken"):
            await house.start(failing, workspace("carol"))
        await failing.delete(alices.id, "alice", user="alice")
    used = {(verb, resource) for user, verb, resource in _used(house) if user == "hub"}
    needed = {
        (verb, right.resource) for right in RIGHTS if not right.everywhere for verb in right.verbs
    }
    assert used - needed == set()
    assert needed - used <= UNSEEN


def _used(house: House) -> set[tuple[str, str, str]]:
    """Return the calls that were made: user, verb, resource."""
    return {(one.user, one.verb, one.resource) for one in house.cluster.calls}
