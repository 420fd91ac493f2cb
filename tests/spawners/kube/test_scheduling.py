"""What a pod waits for that no node takes, and the queue of those that wait."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from kworkspace.spawners.kube.scheduling import is_unschedulable, place, waits_for
from tests.spawners.kube.recordings import watched


def pod(
    message: str,
    *,
    name: str = "alice",
    at: int = 0,
    priority: int = 0,
    requests: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    named = {key.replace("gpu", "nvidia.com/gpu"): text for key, text in requests.items()}
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": f"2026-11-23T04:30:{at:02}Z",
        },
        "spec": {
            "priority": priority,
            "containers": [{"name": "workspace", "resources": {"limits": named}}],
        },
        "status": {
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": message,
                }
            ]
        },
    }


NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes"


@pytest.mark.parametrize(
    ("message", "requests", "expected"),
    [
        (NO_GPU, {"gpu": "1"}, "Waiting for a node with 1 nvidia.com/gpu"),
        (NO_GPU, {}, "Waiting for a node with a free nvidia.com/gpu"),
        (
            (
                "0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu, 2"
                " Insufficient memory. preemption: 0/2 nodes are available: 1 Insufficient pods."
            ),
            {"cpu": "1k", "memory": "16Gi", "gpu": "2"},
            "Waiting for a node with 1000 CPU, 2 nvidia.com/gpu and 16Gi of memory",
        ),
        ("0/2 nodes are available: 2 Insufficient cpu.", {"cpu": "500m"}, "0.5 CPU"),
        (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            {},
            "Waiting for the volume of the home to be made",
        ),
        (
            "0/3 nodes are available: 3 node(s) had volume node affinity conflict.",
            {},
            "Waiting for a node that can reach the volume of the home",
        ),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {gpu: only}. preemption: no",
            {},
            "Waiting for a node without the taint gpu",
        ),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            {},
            "Waiting for a node of the kind that is asked for",
        ),
        ("what\nno scheduler said", {}, "Waiting for a node: what no scheduler said"),
        ("", {}, "Waiting for a node"),
    ],
)
def test_in_words(message: str, requests: dict[str, str], expected: str) -> None:
    assert waits_for(pod(message, requests=requests)).endswith(expected)


def test_place_in_the_queue() -> None:
    first = pod(NO_GPU, name="z", at=1)
    second = pod(NO_GPU, name="b", at=2)
    third = pod(NO_GPU, name="c", at=2)
    urgent = pod(NO_GPU, name="ada", at=9, priority=1)
    elsewhere = pod("0/3 nodes are available: 3 Insufficient cpu.", name="e")
    leaving = pod(NO_GPU, name="f")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T04:31:00Z"
    everybody = [third, elsewhere, first, second, leaving]
    assert [place(one, everybody) for one in (first, second, third)] == [(1, 3), (2, 3), (3, 3)]
    assert place(elsewhere, everybody) == (1, 1)
    assert place(second, [*everybody, urgent]) == (3, 4)
    assert place(second, []) == (1, 1)


def test_recorded_pods_that_have_a_node_do_not_wait() -> None:
    [*_, (_, _, ready, _)] = watched("pod-failed")
    assert not is_unschedulable(ready)
    assert place(pod(NO_GPU), [ready]) == (1, 1)
