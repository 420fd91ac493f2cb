"""Starts: what they tell, how they fail, what they leave, and what another hub makes of them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.base import Running
from kworkspace.spawners.kube import KubeSpawner, starts
from tests.hub.clock import until
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.kube_api.seeds import node, quota
from tests.spawners.kube.house import NAMESPACE, House, workspace

HOME = {"persistentvolumeclaims": ["workspace-alice"], "secrets": ["workspace-alice-ssh"]}
DEADLINE = 20.0


async def failure(house: House, spawner: KubeSpawner, **fields: Any) -> str:
    """Start what cannot start, and return why."""
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StartFailed) as caught:
            await house.start(spawner, workspace(**fields))
    return caught.value.message


async def test_a_start(house: House) -> None:
    spawner = await house.open()
    begun = len(house.cluster.calls)
    running = await house.start(spawner, alices := workspace())
    assert (running.id, running.slug) == (alices.id, "alice")
    assert running.host == house.pod()["status"]["podIP"]
    assert running.object_uid == house.pod()["metadata"]["uid"]
    assert running.host_key.startswith("ssh-ed25519 ")
    assert running.since is not None
    assert house.messages[0] == "Making the volume, the keys and the pod"
    assert house.messages[-1] == "The workspace answers"
    assert [percent for percent, _ in house.told] == sorted(percent for percent, _ in house.told)
    assert house.left() == {"pods": ["workspace-alice"], **HOME}
    asked = sorted((one.verb, one.resource) for one in house.cluster.calls[begun:])
    assert [one for one in asked if one[0] != "watch"] == [
        ("create", "persistentvolumeclaims"),
        ("create", "pods"),
        ("create", "secrets"),
    ], "and the watches tell the rest"


async def test_the_host_key_is_kept(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    first = await house.start(spawner, alices)
    await spawner.stop(alices.id, "alice")
    assert house.left() == HOME
    again = await house.start(spawner, alices)
    assert again.host_key == first.host_key
    assert again.object_uid != first.object_uid


async def test_who_joins_hears_where_it_is(house: House) -> None:
    house.cluster.kubelet.images["slow:1"] = Image(gate=(gate := asyncio.Event()))
    spawner = await house.open(image="slow:1")
    alices = workspace()
    first = asyncio.get_running_loop().create_task(house.start(spawner, alices))
    await until(lambda: "Pulling image slow:1" in house.messages)
    heard: list[str] = []
    second = asyncio.get_running_loop().create_task(
        spawner.start(alices, lambda _percent, text: heard.append(text))
    )
    await until(lambda: heard == ["Pulling image slow:1"])
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert (await second).id == alices.id


async def test_an_image_that_cannot_be_pulled(house: House) -> None:
    spawner = await house.open(image="no-such:1", start_timeout=2)
    why = await failure(house, spawner)
    said = "The image no-such:1 cannot be pulled yet: failed to pull and unpack image"
    assert any(message.startswith(said) for message in house.messages), "at once"
    assert why.startswith("it was not ready after 2 s (c.KubeSpawner.start_timeout)")
    assert said in why
    assert house.left() == {}, "there was nothing before"
    assert house.exits == []


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("crash:1", "its first process ended with exit code 1: broken"),
        ("failed:1", "its first process ended with exit code 3"),
        ("completed:1", "its first process ended"),
        ("UPPER:1", "the name of the image UPPER:1 is not valid"),
    ],
)
async def test_what_cannot_heal_ends_it_at_once(house: House, image: str, reason: str) -> None:
    spawner = await house.open(image=image)
    assert (await failure(house, spawner)).startswith(reason)
    assert "pods" not in house.left()
    assert house.exits == [], "it never ran"


async def test_quota(house: House) -> None:
    house.cluster.add(quota(NAMESPACE, pods="0"))
    spawner = await house.open()
    assert await failure(house, spawner) == (
        "a quota of the cluster is used up: q, requested: pods=1, used: pods=0, limited: pods=0"
    )
    assert house.left() == {}


async def test_pod_security(house: House) -> None:
    house.cluster.add_namespace("strict", pod_security="restricted")
    spawner = await house.open(namespace="strict")
    why = await failure(house, spawner)
    assert why.startswith('the cluster refuses it: violates PodSecurity "restricted:latest"')


async def test_unschedulable(house: House) -> None:
    spawner = await house.open(extra_resource_limits={"nvidia.com/gpu": "1"}, start_timeout=1)
    why = await failure(house, spawner)
    assert why.endswith("The last that was seen: Waiting for a node with 1 nvidia.com/gpu")
    assert house.left() == {}


async def test_waiting_for_capacity(house: House) -> None:
    """Its time does not run meanwhile, and it shows its place."""
    spawner = await house.open(
        extra_resource_limits={"nvidia.com/gpu": "1"}, start_timeout=1, wait_for_capacity=True
    )
    loop = asyncio.get_running_loop()
    first = loop.create_task(house.start(spawner, workspace()))
    await until(
        lambda: house.messages[-1:] == ["Waiting for a node with 1 nvidia.com/gpu (place 1 of 1)"]
    )
    heard: list[str] = []
    second = loop.create_task(
        spawner.start(workspace("bob"), lambda _percent, text: heard.append(text))
    )
    await until(lambda: heard[-1:] == ["Waiting for a node with 1 nvidia.com/gpu (place 2 of 2)"])
    await asyncio.sleep(1.1)  # longer than start_timeout: it is the time itself that is tested
    assert not first.done()
    house.cluster.add(node("gpu-node", nvidia_com__gpu="2"))
    async with asyncio.timeout(DEADLINE):
        assert (await first).slug == "alice"
        assert (await second).slug == "bob"


async def test_what_the_bootstrap_is_at(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can take minutes, as when it installs sshd."""
    monkeypatch.setattr("kworkspace.spawners.kube.waiting.FIRST_TICK", 0.05)
    house.cluster.kubelet.images["bare:1"] = Image(ready_after=None, log=("Installing sshd",))
    spawner = await house.open(image="bare:1")
    start = asyncio.get_running_loop().create_task(house.start(spawner, alices := workspace()))
    await until(lambda: house.messages[-1:] == ["Installing sshd"])
    assert "Waiting for the SSH server" in house.messages
    await spawner.stop(alices.id, "alice")
    await asyncio.wait([start])
    assert isinstance(start.exception(), StartFailed)


async def test_an_image_that_prints_without_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every line of it is told; the last one is."""
    monkeypatch.setattr("kworkspace.spawners.kube.waiting.FIRST_TICK", 0.05)
    lines = tuple(f"line {number}" for number in range(2000))
    house.cluster.kubelet.images["loud:1"] = Image(ready_after=None, log=lines)
    spawner = await house.open(image="loud:1")
    start = asyncio.get_running_loop().create_task(house.start(spawner, alices := workspace()))
    await until(lambda: house.messages[-1:] == ["line 1999"])
    assert len([text for text in house.messages if text.startswith("line ")]) < 200
    await spawner.stop(alices.id, "alice")
    await asyncio.wait([start])


async def test_a_failed_start_fails_nobody_else(house: House) -> None:
    house.cluster.kubelet.images["no:1"] = Image(pull_error="not found")
    spawner, bad = await house.open(), await house.open(image="no:1", start_timeout=1)
    outcomes = await asyncio.gather(
        house.start(bad, workspace("mallory")),
        *(house.start(spawner, workspace(f"user-{number}")) for number in range(20)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], StartFailed)
    assert all(isinstance(outcome, Running) for outcome in outcomes[1:])


async def test_failing_again_and_again(house: House) -> None:
    spawner = await house.open(image="failed:1")
    for _ in range(3):
        await failure(house, spawner)
    begun = len(house.cluster.calls)
    assert (await failure(house, spawner)).startswith(
        "the last 3 starts of it failed: try again in 10 s."
    )
    assert len(house.cluster.calls) == begun, "the cluster is not asked"
    assert (await failure(house, spawner, user="bob")).startswith("its first process ended")


async def test_a_home_with_something_in_it_is_kept(house: House) -> None:
    spawner = await house.open(image="failed:1")
    await failure(house, spawner)
    assert house.left() == HOME, "its process ran, and may have written to it"


async def test_an_error_of_ours_leaves_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_args: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    spawner = await house.open()
    monkeypatch.setattr("kworkspace.spawners.kube.making.make_pod", fails)
    assert await failure(house, spawner) == (
        "an unexpected error (ZeroDivisionError); an admin finds it in the log"
    )
    assert "ZeroDivisionError" in caplog.text
    assert house.left() == {}


async def test_a_callable_of_the_configuration_that_gives_nonsense(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nonsense(*_args: Any, **_more: Any) -> None:
        raise TraitError("c.KubeSpawner.mem_limit: 'much' is not a quantity")

    spawner = await house.open()
    monkeypatch.setattr("kworkspace.spawners.kube.making.make_pod", nonsense)
    assert await failure(house, spawner) == "c.KubeSpawner.mem_limit: 'much' is not a quantity"
    assert house.left() == {}


async def test_somebody_elses_pod(house: House) -> None:
    house.cluster.add(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "workspace-alice", "namespace": NAMESPACE},
            "spec": {"containers": [{"name": "other", "image": "cheap:1"}]},
        }
    )
    spawner = await house.open()
    assert (await failure(house, spawner)).startswith(
        "there is another pod named workspace-alice in the namespace workspaces"
    )
    assert house.left() == {"pods": ["workspace-alice"]}


async def test_another_hubs_pod(house: House) -> None:
    other, spawner = await house.open("other"), await house.open()
    alices = workspace()
    running = await house.start(other, alices)
    why = await failure(house, spawner, id=alices.id)
    assert "workspace-alice" in why
    assert await other.find(alices.id, "alice") == running


async def test_the_previous_pod_is_waited_for(house: House) -> None:
    """One of the same name that is ending: whoever deleted it."""
    house.cluster.kubelet.images["cheap:1"] = Image(stop_seconds=0.3)
    spawner = await house.open(delete_grace_period=5)
    alices = workspace()
    first = await house.start(spawner, alices)
    house.cluster.delete("pods", NAMESPACE, "workspace-alice")
    second = await house.start(spawner, alices)
    assert second.object_uid != first.object_uid
    assert "Waiting for the previous pod to end" in house.messages


async def test_one_that_has_ended_is_replaced(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    first = await house.start(spawner, alices)
    house.cluster.kubelet.finish(NAMESPACE, "workspace-alice", 3)
    await until(lambda: house.exits)
    assert (await house.start(spawner, alices)).object_uid != first.object_uid


async def test_deleted_by_hand_while_it_starts(house: House) -> None:
    house.cluster.kubelet.images["slow:1"] = Image(pull_seconds=60)
    spawner = await house.open(image="slow:1")
    start = asyncio.get_running_loop().create_task(house.start(spawner, workspace()))
    await until(lambda: "Pulling image slow:1" in house.messages)
    house.cluster.delete("pods", NAMESPACE, "workspace-alice", gracePeriodSeconds=0)
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StartFailed, match="deleted"):
            await start
    assert house.left() == {}


async def test_a_hub_killed_at_any_point(house: House) -> None:
    """However far it came, the next one makes one pod of it, and no second one."""
    alices = workspace()
    whole = None
    for calls in range(1, 12):
        before = await house.open()
        begun = len(house.cluster.calls)
        start = asyncio.get_running_loop().create_task(house.start(before, alices))
        await until(lambda: len(house.cluster.calls) - begun >= calls or start.done())  # noqa: B023
        if start.done():
            whole = calls
        await house.close(before)
        await asyncio.wait([start])
        after = await house.open()
        running = await house.start(after, replace(alices))
        assert [one["metadata"]["uid"] for one in house.cluster.every("pods")] == [
            running.object_uid
        ]
        assert house.left() == {"pods": ["workspace-alice"], **HOME}
        await after.delete(alices.id, "alice", user="alice")
        assert house.left() == {}
        await house.close(after)
        if whole is not None:
            break
    assert whole is not None, "the last one came to its end"


@pytest.mark.parametrize("status", [500, 503, 429])
@pytest.mark.parametrize("kind", ["pods", "secrets", "persistentvolumeclaims"])
async def test_an_api_server_in_trouble(house: House, kind: str, status: int) -> None:
    spawner = await house.open()
    house.cluster.faults.fail_next(status, 2, verb="create", kind=kind)
    assert (await house.start(spawner, workspace())).slug == "alice"


@pytest.mark.parametrize("kind", ["pods", "secrets", "persistentvolumeclaims"])
async def test_an_answer_that_is_lost(house: House, kind: str) -> None:
    """It is made, and the hub does not know: asked again, it finds its own."""
    spawner = await house.open()
    house.cluster.faults.disconnect_mid_body(1, verb="create", kind=kind)
    running = await house.start(spawner, workspace())
    assert house.pod()["metadata"]["uid"] == running.object_uid
    assert house.left() == {"pods": ["workspace-alice"], **HOME}


async def test_an_api_server_that_is_away(
    house: House, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(starts, "MOST_PAUSE", 0.1)
    spawner = await house.open(k8s_api_request_retry_timeout=1)
    async with cluster.faults.down():
        start = asyncio.get_running_loop().create_task(house.start(spawner, workspace()))
        await until(lambda: "The cluster does not answer; trying again" in house.messages)
    async with asyncio.timeout(DEADLINE):
        assert (await start).slug == "alice"


async def test_watches_that_are_cut(house: House, cluster: Cluster) -> None:
    house.cluster.kubelet.images["slow:1"] = Image(gate=(gate := asyncio.Event()))
    spawner = await house.open(image="slow:1")
    start = asyncio.get_running_loop().create_task(house.start(spawner, workspace()))
    await until(lambda: "Pulling image slow:1" in house.messages)
    cluster.faults.drop_watches()
    cluster.compact()
    gate.set()
    async with asyncio.timeout(DEADLINE):
        assert (await start).slug == "alice"
