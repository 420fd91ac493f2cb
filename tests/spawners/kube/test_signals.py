"""What many pods are at, from metrics and from inside: read, absent or unreadable."""

import asyncio
from dataclasses import dataclass, field

import pytest

from kworkspace.spawners.base import ABSENT, Readable, Reading
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.signals import Signals, Target, target
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.spawners.kube.objects import NAMESPACE, is_ready, pod

PEER = b"  0: 0A00020A:08AE 0B00020A:C350 01 0 0 0 0\n"


@dataclass
class Inside:
    """What a program in the pod prints.

    Attributes:
        argvs: how it was called.
    """

    output: bytes = b""
    stderr: bytes = b""
    argvs: list[list[str]] = field(default_factory=list)

    def __call__(self, argv: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        self.argvs.append(argv)
        return 0, self.output, self.stderr


class Clock:
    """Seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inside(cluster: Cluster) -> Inside:
    """What the pods say."""
    found = Inside()
    cluster.kubelet.images["talks:1"] = Image(exec=found)
    return found


async def _make(
    client: KubeClient, cluster: Cluster, name: str, *, gpu: bool = False, image: str = "talks:1"
) -> Target:
    manifest = pod(name, image)
    if gpu:
        cluster.edit(
            "nodes", "", "node1", lambda node: node["status"]["allocatable"].update({GPU: "8"})
        )
        manifest["spec"]["containers"][0]["resources"] = {"limits": {GPU: "1"}}
    await client.create(Kind.POD, NAMESPACE, manifest)
    async with asyncio.timeout(20):
        ready = await cluster.wait(
            "pods", lambda each: each["metadata"]["name"] == name and is_ready(each)
        )
    return target(ready, id=f"id-{name}", container="workspace", port=2222)


GPU = "nvidia.com/gpu"


@pytest.mark.parametrize("output", [b"cpu 1 " + b"9" * 400, b"gpu 1\n" * 1_000_000])
async def test_what_one_prints_is_nobody_elses_trouble(
    client: KubeClient, cluster: Cluster, inside: Inside, output: bytes
) -> None:
    cluster.kubelet.images["talks:2"] = Image(exec=lambda argv, stdin: (0, output, b""))
    bad, good = (
        await _make(client, cluster, "bad", image="talks:2"),
        await _make(client, cluster, "good"),
    )
    inside.output = b"tcp\n" + PEER
    signals = Signals(client)
    worst, other = await signals.activity([bad, good])
    assert worst.cpu.state is Readable.UNREADABLE
    assert len(worst.cpu.reason) < 200
    assert other.connections.value == 1
    sample, _ = await signals._sample(bad, twice=False)
    assert len(sample.gpus) < 30_000


async def test_without_metrics_the_cgroup_is_read_twice_at_first(
    client: KubeClient, cluster: Cluster, inside: Inside
) -> None:
    alice = await _make(client, cluster, "alice")
    clock = Clock()
    signals = Signals(client, clock=clock)
    inside.output = b"cpu 100 1000000\ntcp\n" + PEER + b"cpu 101 1500000\n"
    [first] = await signals.activity([alice])
    assert first.id == "id-alice"
    assert first.object_uid == alice.uid
    assert first.cpu.value == pytest.approx(0.5)
    assert first.connections == Reading(Readable.READ, 1)
    assert first.gpu == ABSENT
    assert inside.argvs[-1][-3:] == ["twice", "08AE", ""]
    inside.output = b"cpu 161 31500000\ntcp\n"
    clock.now += 60
    [second] = await signals.activity([alice])
    assert second.cpu.value == pytest.approx(0.5)
    assert second.connections == Reading(Readable.READ, 0)
    assert inside.argvs[-1][-3] == "once"
    inside.output = b"cpu 221 0\ntcp\n"
    clock.now += 60
    [third] = await signals.activity([alice])
    assert third.cpu.state is Readable.UNREADABLE
    assert "begun anew" in third.cpu.reason


async def test_metrics_are_one_call_for_all(
    client: KubeClient, cluster: Cluster, inside: Inside
) -> None:
    pods = [await _make(client, cluster, name) for name in ("alice", "bob")]
    cluster.metrics.installed = True
    cluster.metrics.usage[NAMESPACE, "alice"] = {"cpu": "1500m", "memory": "1Mi"}
    inside.output = b"cpu 100 1000000\ntcp\ncpu 101 3000000\n"
    alice, bob = await Signals(client).activity(pods)
    assert alice.cpu.value == 1.5
    assert 0 <= alice.cpu.age < 60
    assert bob.cpu.value == pytest.approx(2.0)
    asked = [call for call in cluster.calls if call.group == "metrics.k8s.io"]
    assert len(asked) == 1
    assert [argv[-3] for argv in inside.argvs] == ["once", "twice"]


async def test_the_gateways_own_connections_do_not_count(
    client: KubeClient, cluster: Cluster, inside: Inside
) -> None:
    alice = await _make(client, cluster, "alice")
    inside.output = PEER + b"tcp\n"
    [found] = await Signals(client).activity([alice], gateways=["10.2.0.11"])
    assert found.connections == Reading(Readable.READ, 0)
    assert found.cpu.state is Readable.UNREADABLE


async def test_gpus(client: KubeClient, cluster: Cluster, inside: Inside) -> None:
    alice = await _make(client, cluster, "alice", gpu=True)
    assert alice.gpu
    inside.output = b"tcp\ngpu 3\ngpu 80\n"
    [found] = await Signals(client).activity([alice])
    assert found.gpu == Reading(Readable.READ, 0.8)
    assert inside.argvs[-1][-1] == "gpu"
    inside.output, inside.stderr = b"tcp\n", b"sh: nvidia-smi: not found\n"
    [found] = await Signals(client).activity([alice])
    assert found.gpu == Reading.unreadable("sh: nvidia-smi: not found")
    assert found.connections.state is Readable.READ


async def test_a_pod_that_is_gone_or_mute_hides_no_other(
    client: KubeClient, cluster: Cluster, inside: Inside
) -> None:
    alice = await _make(client, cluster, "alice", gpu=True)
    bob = await _make(client, cluster, "bob")
    await client.delete(Kind.POD, NAMESPACE, "alice", grace=0)
    inside.output = b"tcp\n"
    gone, there = await Signals(client).activity([alice, bob])
    assert gone.cpu.state is gone.connections.state is gone.gpu.state is Readable.UNREADABLE
    assert "pods/exec alice" in gone.connections.reason
    assert there.connections == Reading(Readable.READ, 0)


async def test_in_a_crowd_nobody_waits_a_second(
    client: KubeClient, cluster: Cluster, inside: Inside
) -> None:
    pods = [await _make(client, cluster, name) for name in ("alice", "bob")]
    inside.output = b"cpu 100 1000000\ntcp\n"
    clock = Clock()
    signals = Signals(client, at_once=1, clock=clock)
    for found in await signals.activity(pods):
        assert found.cpu.state is Readable.UNREADABLE
        assert "first look" in found.cpu.reason
    assert {argv[-3] for argv in inside.argvs} == {"once"}
    inside.output = b"cpu 110 6000000\ntcp\n"
    clock.now += 10
    for found in await signals.activity(pods):
        assert found.cpu.value == pytest.approx(0.5)
