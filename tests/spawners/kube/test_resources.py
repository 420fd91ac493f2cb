"""What a container is sure to have, and what it can use."""

from typing import Any

import pytest

from kworkspace.spawners.kube.resources import resources
from tests.spawners.kube.configured import refused
from tests.spawners.kube.made import configured

GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("given", "limits", "requests"),
    [
        ({}, {}, {}),
        ({"cpu_limit": 2}, {"cpu": "2"}, {}),
        ({"cpu_limit": 0, "mem_limit": None}, {}, {}),
        ({"cpu_limit": "0.0"}, {}, {}),
        ({"cpu_guarantee": 0.5, "mem_guarantee": "1Gi"}, {}, {"cpu": "0.5", "memory": "1Gi"}),
        ({"cpu_guarantee": 0}, {}, {}),
        # Kubernetes would guarantee the whole limit.
        ({"cpu_limit": 2, "cpu_guarantee": 0}, {"cpu": "2"}, {"cpu": "0"}),
        (
            {"mem_limit": "4G", "mem_guarantee": 2**31},
            {"memory": "4G"},
            {"memory": "2147483648"},
        ),
        ({"gpu_limit": 2}, {GPU: "2"}, {}),
        ({"gpu_limit": 0}, {}, {}),
        ({"gpu_limit": 1, "gpu_resource": "amd.com/gpu"}, {"amd.com/gpu": "1"}, {}),
        ({"extra_resource_limits": {GPU: 4, "a.b/c": None}}, {GPU: "4"}, {}),
        (  # what is said of one resource counts more than the options of all
            {"cpu_limit": 2, "extra_resource_limits": {"cpu": "3"}},
            {"cpu": "3"},
            {},
        ),
        (
            {"extra_resource_guarantees": {"ephemeral-storage": "5Gi"}},
            {},
            {"ephemeral-storage": "5Gi"},
        ),
        (
            {"extra_resource_guarantees": {GPU: 1}, "gpu_limit": 1},
            {GPU: "1"},
            {GPU: "1"},
        ),
    ],
)
def test_limits_and_guarantees(
    given: dict[str, Any], limits: dict[str, str], requests: dict[str, str]
) -> None:
    parts = {"limits": limits, "requests": requests}
    assert resources(configured(**given)) == {key: part for key, part in parts.items() if part}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"cpu_guarantee": 2, "cpu_limit": 1}, "cpu_guarantee: 2 of cpu is more than its limit 1"),
        (
            {"mem_guarantee": "2Gi", "mem_limit": "2G"},
            "mem_guarantee: 2Gi of memory is more than its limit 2G",
        ),
        (
            {"extra_resource_guarantees": {GPU: 1}},
            f"extra_resource_guarantees: {GPU} must be in extra_resource_limits too",
        ),
        ({"extra_resource_limits": {GPU: 0.5}}, f"extra_resource_limits: {GPU} must be whole: 0.5"),
    ],
)
def test_what_does_not_fit_together(given: dict[str, Any], why: str) -> None:
    assert refused(**given).startswith(why)
