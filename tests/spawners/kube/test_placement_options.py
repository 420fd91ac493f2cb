"""Where a pod runs: what each option does to its spec, and what it is refused for."""

from typing import Any

import pytest

from kworkspace.spawners.kube.placement_options import PlacementOptions
from tests.spawners.kube.configured import at, pod, refused, valid

NODES = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
PODS = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

# By option: a value, and where it comes to be.
DONE: dict[str, tuple[Any, str]] = {
    "node_selector": ({"disktype": "ssd"}, "spec nodeSelector"),
    "tolerations": ([TAINT], "spec tolerations"),
    "node_affinity_preferred": (
        [{"weight": 1, "preference": NODES}],
        f"spec affinity nodeAffinity {PREFERRED}",
    ),
    "node_affinity_required": (
        [NODES],
        f"spec affinity nodeAffinity {REQUIRED} nodeSelectorTerms",
    ),
    "pod_affinity_preferred": (
        [{"weight": 1, "podAffinityTerm": PODS}],
        f"spec affinity podAffinity {PREFERRED}",
    ),
    "pod_affinity_required": ([PODS], f"spec affinity podAffinity {REQUIRED}"),
    "pod_anti_affinity_preferred": (
        [{"weight": 1, "podAffinityTerm": PODS}],
        f"spec affinity podAntiAffinity {PREFERRED}",
    ),
    "pod_anti_affinity_required": ([PODS], f"spec affinity podAntiAffinity {REQUIRED}"),
    "priority_class_name": ("batch", "spec priorityClassName"),
    "scheduler_name": ("volcano", "spec schedulerName"),
    "runtime_class_name": ("gvisor", "spec runtimeClassName"),
}


@pytest.mark.parametrize("name", DONE)
def test_what_an_option_does(name: str) -> None:
    value, path = DONE[name]
    assert at(pod(), path) is None
    assert at(valid(pod(**{name: value})), path) == value


def test_a_dictionary_instead_of_a_list() -> None:
    items = {"b": {"key": "2"}, "a": {"key": "1"}, "c": None}
    assert at(pod(tolerations=items), "spec tolerations") == [{"key": "1"}, {"key": "2"}]


REFUSED: list[tuple[str, Any, str]] = [
    ("node_selector", {"a": 1}, "['a']: expected a text, not 1"),
    ("node_selector", {"a b": "c"}, ": 'a b' is not a name that Kubernetes allows"),
    ("node_selector", ["ssd"], ": expected a dictionary, not ['ssd']"),
    ("tolerations", [{"effect": "No"}], "[0].effect: expected one of NoSchedule,"),
    ("tolerations", {"gpu": {"kee": "a"}}, "['gpu'].kee: there is no such key; did you mean"),
    ("tolerations", "gpu", ": expected a list, not 'gpu'"),
    ("node_affinity_preferred", [NODES], "[0].matchExpressions: there is no such key;"),
    ("node_affinity_preferred", [{"weight": 1}], "[0]: 'preference' is missing"),
    ("node_affinity_required", [{"matchExpressions": [{"key": "a"}]}], "[0].matchExpressions"),
    ("pod_affinity_preferred", [{"podAffinityTerm": PODS}], "[0]: 'weight' is missing"),
    ("pod_affinity_required", [{}], "[0]: 'topologyKey' is missing"),
    ("pod_anti_affinity_preferred", [PODS], "[0].topologyKey: there is no such key;"),
    ("pod_anti_affinity_required", [None], "[0]: expected a dictionary, not None"),
    ("priority_class_name", "", ": it is empty"),
    ("scheduler_name", 1, ": expected a text, not 1"),
    ("runtime_class_name", " ", ": it is empty"),
]


def test_every_option_is_here() -> None:
    options = set(PlacementOptions.class_trait_names(config=True))
    assert DONE.keys() == {name for name, *_ in REFUSED} == options


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_what_is_refused(name: str, value: Any, why: str) -> None:
    assert refused(**{name: value}).startswith(f"{name}{why}")
