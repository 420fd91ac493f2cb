"""The node that pretends: images, probes, restarts, logs, exec, and what a test can let happen."""

import asyncio

import aiohttp
import pytest

from tests.kube_api.clients import PODS, SECRETS, Client, exec_in, is_ready, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.kube_api.objects import Object, dig


def waiting(thing: Object) -> Object:
    found: Object = dig(thing, "status", "containerStatuses", 0, "state", "waiting", default={})
    return found


def ended(thing: Object) -> Object:
    found: Object = dig(thing, "status", "containerStatuses", 0, "state", "terminated", default={})
    return found


async def test_an_image_that_is_mended(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(image="no-such:1"))
    found = await cluster.wait("pods", lambda one: waiting(one).get("reason") == "ImagePullBackOff")
    assert waiting(found)["message"].startswith('Back-off pulling image "no-such:1"')
    cluster.kubelet.images["no-such:1"] = Image()
    await cluster.wait("pods", is_ready)


async def test_a_pod_that_never_ran_ends_as_failed(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(image="no-such:1"))
    await cluster.wait("pods", lambda one: waiting(one).get("reason") == "ErrImagePull")
    async with client.watch(PODS) as watched:
        await watched.take(1)
        await client.call("DELETE", f"{PODS}/alice")
        last: Object = {}
        while (event := await watched.next()) is not None and event["type"] != "DELETED":
            last = event["object"]
    assert last["status"]["phase"] == "Failed"
    assert ended(last)["reason"] == "ContainerStatusUnknown"


async def test_a_pull_takes_as_long_as_the_test_wants(cluster: Cluster, client: Client) -> None:
    gate = asyncio.Event()
    cluster.kubelet.images["large:1"] = Image(gate=gate)
    await client.call("POST", PODS, pod(image="large:1"))
    event = await cluster.wait("events", lambda one: one["reason"] == "Pulling")
    assert event["message"] == 'Pulling image "large:1"'
    gate.set()
    await cluster.wait("pods", is_ready)
    assert any(one["reason"] == "Pulled" for one in cluster.every("events"))


async def test_a_name_that_is_no_image(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(image="UPPER:1"))
    found = await cluster.wait("pods", lambda one: waiting(one).get("reason") == "InvalidImageName")
    assert "must be lowercase" in waiting(found)["message"]


async def test_a_secret_that_comes_later(cluster: Cluster, client: Client) -> None:
    volumes = [{"name": "keys", "secret": {"secretName": "alice"}}]
    await client.call("POST", PODS, pod(volumes=volumes))
    event = await cluster.wait("events", lambda one: one["reason"] == "FailedMount")
    assert event["message"] == (
        'MountVolume.SetUp failed for volume "keys" : secret "alice" not found'
    )
    await client.call("POST", SECRETS, secret())
    await cluster.wait("pods", is_ready)


async def test_a_variable_from_a_secret_that_is_not_there(cluster: Cluster, client: Client) -> None:
    manifest = pod()
    source = {"secretKeyRef": {"name": "alice", "key": "k"}}
    manifest["spec"]["containers"][0]["env"] = [{"name": "K", "valueFrom": source}]
    await client.call("POST", PODS, manifest)
    found = await cluster.wait(
        "pods", lambda one: waiting(one).get("reason") == "CreateContainerConfigError"
    )
    assert waiting(found)["message"] == 'secret "alice" not found'
    await client.call("POST", SECRETS, secret(k="v"))
    await cluster.wait("pods", is_ready)


async def test_a_container_is_killed_for_its_memory(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(restartPolicy="Never"))
    await cluster.wait("pods", is_ready)
    cluster.kubelet.oom("workspaces", "alice")
    found = await cluster.wait("pods", lambda one: one["status"]["phase"] == "Failed")
    assert (ended(found)["reason"], ended(found)["exitCode"]) == ("OOMKilled", 137)


async def test_the_node_fails_a_pod(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod())
    await cluster.wait("pods", is_ready)
    message = "The node was low on resource: memory."
    await cluster.kubelet.fail("workspaces", "alice", "Evicted", message)
    _, found = await client.call("GET", f"{PODS}/alice")
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Failed", "Evicted")
    assert ended(found)["exitCode"] == 137
    assert found["status"]["conditions"][0]["reason"] == "TerminationByKubelet"
    await client.call("DELETE", f"{PODS}/alice")
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404


async def test_a_container_is_started_again(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(restartPolicy="OnFailure"))
    await cluster.wait("pods", is_ready)
    cluster.kubelet.finish("workspaces", "alice", 1)
    await cluster.wait(
        "pods",
        lambda one: is_ready(one) and one["status"]["containerStatuses"][0]["restartCount"] == 1,
    )
    cluster.kubelet.finish("workspaces", "alice", 0)
    await cluster.wait("pods", lambda one: one["status"]["phase"] == "Succeeded")


async def test_init_containers_come_first(cluster: Cluster, client: Client) -> None:
    init = [{"name": "first", "image": "completed:1"}]
    await client.call("POST", PODS, pod(initContainers=init))
    found = await cluster.wait("pods", is_ready)
    assert found["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    failing = [{"name": "first", "image": "failed:1"}]
    await client.call("POST", PODS, pod("bob", initContainers=failing, restartPolicy="Never"))
    await cluster.wait("pods", lambda one: one["status"]["phase"] == "Failed")


async def test_one_that_is_never_ready(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(image="never-ready:1"))
    found = await cluster.wait("pods", lambda one: one["status"]["phase"] == "Running")
    assert not is_ready(found)


async def test_logs(cluster: Cluster, client: Client) -> None:
    cluster.kubelet.images["says:1"] = Image(log=("one", "two"), exit_code=0, runs_for=0.05)
    gate = asyncio.Event()
    cluster.kubelet.images["later:1"] = Image(gate=gate)
    await client.call("POST", PODS, pod(image="later:1"))
    await cluster.wait("events", lambda one: one["reason"] == "Pulling")
    status, body = await client.call("GET", f"{PODS}/alice/log")
    assert status == 400
    assert body["message"] == (
        'container "workspace" in pod "alice" is waiting to start: ContainerCreating'
    )
    await client.call("POST", PODS, pod("bob", image="says:1", restartPolicy="Never"))
    await cluster.wait("pods", lambda one: one["status"]["phase"] == "Succeeded")
    assert await client.call("GET", f"{PODS}/bob/log") == (200, "one\ntwo\n")
    assert await client.call("GET", f"{PODS}/bob/log?tailLines=1") == (200, "two\n")
    assert await client.call("GET", f"{PODS}/bob/log?follow=true") == (200, "one\ntwo\n")
    status, body = await client.call("GET", f"{PODS}/bob/log?container=other")
    assert (status, body["message"]) == (400, "container other is not valid for pod bob")


async def test_exec_by_a_script(cluster: Cluster, client: Client) -> None:
    def program(argv: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        return 3, b" ".join(word.encode() for word in argv) + stdin, b"problem"

    cluster.kubelet.images["answers:1"] = Image(exec=program)
    await client.call("POST", PODS, pod(image="answers:1"))
    await cluster.wait("pods", is_ready)
    answer = await exec_in(client, "cat", "x", stdin=b" and more")
    assert answer == (3, "cat x and more", "problem")


async def test_exec_where_nothing_runs(cluster: Cluster, client: Client) -> None:
    cluster.kubelet.images["later:1"] = Image(gate=asyncio.Event())
    await client.call("POST", PODS, pod(image="later:1"))
    await cluster.wait("events", lambda one: one["reason"] == "Pulling")
    for name, status in (("alice", 500), ("nobody", 404)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await exec_in(client, "id", name=name)
        assert caught.value.status == status
