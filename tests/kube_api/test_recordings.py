"""Every recording of a real Kubernetes, made again: its requests, and the shape of what comes back.

Compared are: status, headers' names, the words of refusals, the structure of bodies (every path
and its JSON type), and of watches the sequence of states that a pod goes through.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kube_api.clients import Client, client_of
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image, no_such
from tests.kube_api.objects import Object, dig
from tests.kube_api.seeds import quota

RECORDINGS = Path(__file__).parent / "recordings"
Step = tuple[Any, ...]

# A real kubelet counts its cgroup's memory limit as the pod's some seconds later; the recordings'
# server kept managedFields to itself.
NOISE = re.compile(r"\.managedFields|^\.status\.resources|\.allocatedResources")


def recording(name: str) -> Object:
    found: Object = json.loads((RECORDINGS / f"{name}.json").read_text())
    return found


def shape(value: Any, path: str = "") -> set[str]:
    """Every path of a JSON value with its type; all entries of a list count as one."""
    if isinstance(value, dict):
        here = {path + "{}"}
        return here.union(*(shape(entry, f"{path}.{key}") for key, entry in value.items()))
    if isinstance(value, list):
        return {path + "[]"}.union(*(shape(entry, f"{path}[]") for entry in value))
    return {f"{path}:{type(value).__name__}"}


def structure(value: Any) -> set[str]:
    return {entry for entry in shape(value) if not NOISE.search(entry)}


async def replay(client: Client, exchange: Object) -> None:
    """Make a recorded request and compare the answer."""
    request, recorded = exchange["request"], exchange["response"]
    status, headers, body = await client.call_with_headers(
        request["method"],
        request["path"],
        request["body"],
        type=request["content_type"] or "application/json",
    )
    assert status == recorded["status"], body
    assert set(recorded["headers"]) <= set(headers)
    assert headers["Content-Type"] == recorded["headers"]["Content-Type"]
    assert headers.get("Warning") == recorded["headers"].get("Warning")
    assert structure(body) == structure(recorded["body"])
    if status >= 400 and not isinstance(body, str):
        assert body["reason"] == recorded["body"]["reason"]
        said, expected = body["message"], recorded["body"]["message"]
        assert said.partition("\n")[0] == expected.partition("\n")[0]  # then comes a diff
    elif isinstance(body, str):
        assert body == recorded["body"]


def namespace_of(exchange: Object) -> str:
    return str(exchange["request"]["path"].split("/")[4])


def step(event: Object) -> Step:
    """What matters of a pod's event."""
    pod, metadata = event["object"], event["object"]["metadata"]
    conditions = {
        one["type"]: (one["status"], one.get("reason"), one.get("message"))
        for one in dig(pod, "status", "conditions", default=[])
    }
    container = dig(pod, "status", "containerStatuses", 0, default={})
    kind, state = next(iter(container.get("state", {}).items()), ("", {}))
    last = dig(container, "lastState", "terminated", "reason")
    return (
        event["type"],
        pod["status"]["phase"],
        sorted(conditions.items()),
        kind,
        _same_everywhere(state),
        last,
        container.get("ready"),
        container.get("restartCount"),
        "podIP" in pod["status"],
        "nodeName" in pod["spec"],
        metadata.get("deletionGracePeriodSeconds"),
        metadata["generation"],
        dig(pod, "status", "observedGeneration"),
    )


def _same_everywhere(state: Object) -> Object:
    """A container's state without times, ids and the pod's uid."""
    found: Object = {key: state[key] for key in ("reason", "exitCode", "message") if key in state}
    if "message" in found:
        found["message"] = re.sub(r"\([0-9a-f-]{36}\)", "(uid)", found["message"])
    return found


def steps(events: list[Object]) -> list[Step]:
    """The sequence of states, what changes nothing that matters left out."""
    found: list[Step] = []
    for event in events:
        if event["type"] == "BOOKMARK":
            continue
        one = step(event)
        if not found or one != found[-1]:
            found.append(one)
    return found


SCRIPTS = {
    "pod-ready-then-deleted": Image(ready_after=0.2),
    "pod-evicted": Image(ready_after=0.2),
    "pod-failed": Image(exit_code=3, runs_for=0.05),
    "pod-crash-loop": Image(exit_code=1, runs_for=0.05),
    "pod-oom-killed": Image(exit_code=137, exit_reason="OOMKilled", runs_for=0.05),
    "pod-ignores-sigterm": Image(ignores_sigterm=True),
    "pod-unschedulable": Image(),
    "pod-invalid-volume": Image(),
    "pod-image-pull-backoff": no_such("registry.invalid/no/such:1"),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_pod_goes_through_the_recorded_states(
    name: str, cluster: Cluster, client: Client
) -> None:
    told = recording(name)
    cluster.add_namespace(namespace_of(told["create"]))
    image = told["create"]["request"]["body"]["spec"]["containers"][0]["image"]
    cluster.kubelet.images[image] = SCRIPTS[name]
    expected = [entry["event"] for entry in told["watch"] if isinstance(entry["event"], dict)]
    wanted = steps(expected)
    path = told["create"]["request"]["path"]
    events: list[Object] = []
    async with client.watch(path, allowWatchBookmarks="true") as watched:
        await replay(client, told["create"])
        then = told["then"]
        while len(steps(events)) < len(wanted):
            event = await watched.next()
            assert event is not None
            events.append(event)
            if then is not None and _is_settled(event, wanted, events):
                await replay(client, then)
                then = None
    assert steps(events) == wanted
    for ours, theirs in ((events[-1], _last(expected)), (events[0], expected[0])):
        assert structure(ours["object"]) == structure(theirs["object"])
    await _compare_events(told, cluster)


def _last(events: list[Object]) -> Object:
    return [event for event in events if event["type"] != "BOOKMARK"][-1]


def _is_settled(event: Object, wanted: list[Step], events: list[Object]) -> bool:
    """Whether the pod has come as far as it had when the recording's second request was made."""
    calm = [one for one in wanted if one[0] != "DELETED" and one[10] is None]
    calm = [one for one in calm if not any(name == "DisruptionTarget" for name, _ in one[2])]
    return len(steps(events)) == len(calm)


async def _compare_events(told: Object, cluster: Cluster) -> None:
    """Kubernetes' own events: each recorded reason comes, in a recorded structure."""
    recorded = {
        entry["reason"]: entry
        for entry in told["kubernetes_events"]
        if entry["reason"] not in {"MissingClusterDNS", "Unhealthy"}
    }
    found = {
        entry["reason"]: entry for entry in cluster.every("events", namespace_of(told["create"]))
    }
    assert set(recorded) <= set(found)
    for reason, entry in recorded.items():
        ours = {
            key: value for key, value in found[reason].items() if key not in {"kind", "apiVersion"}
        }
        assert structure(ours) == structure(entry), reason
        assert ours["type"] == entry["type"]


CASES = recording("errors")["cases"]


@pytest.mark.parametrize("case", CASES)
async def test_a_refusal_has_the_recorded_words(
    case: str, cluster: Cluster, client: Client
) -> None:
    exchange = CASES[case]
    if isinstance(exchange, list):
        return await _too_old(exchange, cluster, client)
    cluster.namespaces.holds = True
    cluster.add_namespace("rec-errors")
    cluster.add_namespace("rec-restricted", pod_security="restricted")
    cluster.add_namespace("rec-term")
    cluster.delete("namespaces", "", "rec-term")
    await cluster.wait("configmaps", lambda thing: thing["metadata"]["namespace"] == "rec-errors")
    alice = CASES["409 already exists"]["request"]["body"]
    if case in {"409 already exists", "422 immutable field"}:
        cluster.add(alice | {"metadata": alice["metadata"] | {"namespace": "rec-errors"}})
    cluster.add_namespace("rec-quota")
    cluster.add(quota("rec-quota", pods="1", requests_storage="1Gi"))
    if case == "403 quota exceeded, pods":
        cluster.add(alice | {"metadata": {"name": "alice", "namespace": "rec-quota"}})
    user = {"401 bad token": "nobody", "403 forbidden by RBAC": HUB}.get(case, "")
    if not user:
        return await replay(client, exchange)
    token = "wrong" if user == "nobody" else ""
    async with client_of(cluster, cluster.kubeconfig_of(user, token=token)) as other:
        return await replay(other, exchange)


HUB = "system:serviceaccount:rec-errors:hub"


async def _too_old(told: list[Object], cluster: Cluster, client: Client) -> None:
    cluster.compact()
    async with client.watch("/api/v1/pods", resourceVersion="1") as watched:
        (event,) = await watched.take(1)
        assert await watched.next() is None
    assert shape(event) == shape(told[0]["event"])
    expected = told[0]["event"]["object"]["message"].replace("446", str(cluster.store.revision))
    assert event["object"]["message"] == expected


async def test_a_claim_waits_and_is_not_shrunk(cluster: Cluster, client: Client) -> None:
    told = recording("claim-pending-then-bound")
    cluster.add_namespace("rec-pvc")
    path = told["create"]["request"]["path"]
    async with client.watch(path) as watched:
        await replay(client, told["create"])
        (event,) = await watched.take(1)
    assert event["type"] == "ADDED"
    assert structure(event) == structure(told["watch"][0]["event"])
    await replay(client, told["shrink"])


async def test_an_applied_secret_and_a_node_port(cluster: Cluster, client: Client) -> None:
    told = recording("apply-and-service")
    cluster.add_namespace("rec-errors")
    await replay(client, told["apply"])
    await replay(client, told["service"])


async def test_bookmarks_and_the_end_of_a_watch(cluster: Cluster, client: Client) -> None:
    told = [entry["event"] for entry in recording("watch-bookmarks-and-timeout")["watch"]]
    cluster.kubelet.images["ubuntu:latest"] = Image()
    alice = CASES["409 already exists"]["request"]["body"]
    cluster.add(alice | {"metadata": alice["metadata"] | {"namespace": "workspaces"}})
    await cluster.wait("pods", lambda thing: thing["status"]["phase"] == "Running")
    async with client.watch(
        "/api/v1/namespaces/workspaces/pods",
        allowWatchBookmarks="true",
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        timeoutSeconds="1",
    ) as watched:
        added, initial, later = await watched.take(3)
        assert await watched.next() is None
    assert structure(added) == structure(told[0])
    assert structure(initial) == structure(told[1])
    assert structure(later) == structure(told[3])
