"""Why a pod ended: as recorded on a real cluster, and as Kubernetes documents it."""

from typing import Any

import pytest

from kworkspace.spawners.kube.endings import ending, exit_code, last_line
from tests.spawners.kube.recordings import watched


@pytest.mark.parametrize(
    ("name", "version", "reason", "code"),
    [
        ("pod-ready-then-deleted", "698", "its pod was deleted, not by the hub", 0),
        ("pod-evicted", "996", "its node node1 is being emptied", 0),
        ("pod-failed", "863", "its first process ended with exit code 3", 3),
        ("pod-oom-killed", "902", "it ran out of memory (its limit is 64Mi)", 137),
        ("pod-ignores-sigterm", "938", "its pod was deleted, not by the hub", 137),
    ],
)
def test_recordings(name: str, version: str, reason: str, code: int) -> None:
    """It is known with the first event that tells, and the reason stays what it was."""
    told = [(pod["metadata"]["resourceVersion"], ending(pod)) for _, _, pod, _ in watched(name)]
    versions = [version for version, why in told if why is not None]
    assert versions[0] == version
    assert {why for _, why in told} == {None, reason}
    [*_, (_, _, last, _)] = watched(name)
    assert exit_code(last) == code


@pytest.mark.parametrize("name", ["pod-crash-loop", "pod-image-pull-backoff", "pod-unschedulable"])
def test_recorded_pods_that_go_on(name: str) -> None:
    assert {ending(pod) for _, _, pod, _ in watched(name)} == {None}


def pod(*, deleted: bool = False, node: str = "node-3", **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "workspace-alice", "uid": "1"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-11-23T04:30:54Z"
    return {
        "metadata": metadata,
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "containers": [{"name": "workspace"}],
        },
        "status": {"phase": "Failed", **status},
    }


def terminated(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "workspace", "state": {"terminated": state}}]


def disrupted(reason: str, message: str = "") -> list[dict[str, Any]]:
    return [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]


EVICTED = "The node was low on resource: memory.\nThreshold quantity: 100Mi, available: 90Mi. "


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (
            pod(reason="Evicted", message=EVICTED),
            (
                "its node node-3 evicted it: The node was low on resource: memory. Threshold"
                " quantity: 100Mi, available: 90Mi"
            ),
        ),
        (pod(reason="NodeLost"), "its node node-3 was lost"),
        (
            pod(deleted=True, conditions=disrupted("DeletionByTaintManager")),
            "its node node-3 was lost",
        ),
        (pod(conditions=disrupted("DeletionByPodGC"), node=""), "its node is gone"),
        (
            pod(deleted=True, conditions=disrupted("PreemptionByScheduler")),
            "it made room for something more important",
        ),
        (
            pod(deleted=True, conditions=disrupted("NewReason", "what it\nmeans.")),
            "the cluster ended it: what it means",
        ),
        (
            pod(reason="Terminated", message="Pod was terminated in response to node shutdown."),
            "its node node-3 was shut down",
        ),
        (
            pod(reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
            "its node node-3 ended it: OutOfcpu: Node didn't have enough resource: cpu",
        ),
        (
            pod(containerStatuses=terminated(exitCode=137, reason="OOMKilled"), deleted=True),
            "it ran out of memory",
        ),
        (
            pod(containerStatuses=terminated(exitCode=4, message="a\nno sshd: apt failed\n\n")),
            "its first process ended with exit code 4: no sshd: apt failed",
        ),
        (
            pod(containerStatuses=terminated(exitCode=143)),
            "its first process was killed (SIGTERM)",
        ),
        (
            pod(containerStatuses=terminated(exitCode=170)),
            "its first process was killed (signal 42)",
        ),
        (pod(containerStatuses=terminated(exitCode=0)), "its first process ended"),
        (
            pod(
                containerStatuses=terminated(
                    exitCode=128, reason="StartError", message="exec: /bin/sh: no such file"
                )
            ),
            "its container could not be started: exec: /bin/sh: no such file",
        ),
        (pod(), "its pod ended before it began"),
    ],
)
def test_reasons(ended: dict[str, Any], reason: str) -> None:
    assert ending(ended) == reason


def test_a_workspace_ends_with_its_own_container() -> None:
    """Whatever other containers do: nobody can log in any more."""
    ended = pod(phase="Running", containerStatuses=terminated(exitCode=1))
    assert ending(ended) == "its first process ended with exit code 1"
    ended["spec"]["restartPolicy"] = "Always"
    assert ending(ended) is None, "Kubernetes starts it again"


def test_last_line() -> None:
    assert last_line("one\n  two \n\n") == "two"
    assert last_line("\n") == ""
