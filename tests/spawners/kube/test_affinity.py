"""The affinity of a pod, from the six lists."""

from typing import Any

import pytest

from kworkspace.spawners.kube.affinity import affinity
from tests.spawners.kube.made import configured

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def node(zone: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}


def near(app: str) -> dict[str, Any]:
    return {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": app}}}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, {}),
        ({"node_affinity_required": [], "pod_affinity_preferred": {}}, {}),
        (
            {
                "node_affinity_required": [node("a"), node("b")],
                "node_affinity_preferred": [{"weight": 5, "preference": node("a")}],
            },
            {
                "nodeAffinity": {
                    REQUIRED: {"nodeSelectorTerms": [node("a"), node("b")]},
                    PREFERRED: [{"weight": 5, "preference": node("a")}],
                }
            },
        ),
        (
            {
                "pod_affinity_required": [near("cache")],
                "pod_anti_affinity_preferred": [{"weight": 9, "podAffinityTerm": near("batch")}],
            },
            {
                "podAffinity": {REQUIRED: [near("cache")]},
                "podAntiAffinity": {PREFERRED: [{"weight": 9, "podAffinityTerm": near("batch")}]},
            },
        ),
        (  # A dictionary's values, in the order of its keys.
            {"node_affinity_required": {"20-b": node("b"), "10-a": node("a")}},
            {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [node("a"), node("b")]}}},
        ),
    ],
)
def test_the_lists(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert affinity(configured(**given)) == made
