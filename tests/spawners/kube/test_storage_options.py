"""The volume and the Service: what each option does, and what it is refused for."""

from typing import Any

import pytest

from kworkspace.spawners.kube.storage_options import StorageOptions
from tests.spawners.kube.configured import at, objects, refused, valid
from tests.spawners.kube.made import ALICE

CLAIM, SERVICE = "PersistentVolumeClaim", "Service"
WITH_SERVICE = {"service_type": "LoadBalancer"}

# By option: what is set beside it, its value, where it comes to be, as what, and what was there.
DONE: dict[str, tuple[dict[str, Any], Any, str, Any, Any]] = {
    "storage_pvc_ensure": ({}, False, f"{CLAIM} kind", None, CLAIM),
    "storage_capacity": ({}, "50Gi", f"{CLAIM} spec resources requests storage", "50Gi", "10Gi"),
    "storage_class": ({}, "fast", f"{CLAIM} spec storageClassName", "fast", None),
    "storage_access_modes": (
        {},
        ["ReadWriteOncePod"],
        f"{CLAIM} spec accessModes",
        ["ReadWriteOncePod"],
        ["ReadWriteOnce"],
    ),
    "storage_selector": (
        {},
        {"matchLabels": {"for": "{username}"}},
        f"{CLAIM} spec selector",
        {"matchLabels": {"for": "alice"}},
        None,
    ),
    "storage_extra_labels": (
        {},
        {"team": "{username}-x"},
        f"{CLAIM} metadata labels team",
        "alice-x",
        None,
    ),
    "storage_extra_annotations": (
        {},
        {"for": "{server_id}"},
        f"{CLAIM} metadata annotations for",
        ALICE.id,
        None,
    ),
    "service_type": ({}, "NodePort", f"{SERVICE} spec type", "NodePort", None),
    "service_port": (WITH_SERVICE, 2022, f"{SERVICE} spec ports ssh port", 2022, 22),
    "service_annotations": (
        WITH_SERVICE,
        {"lb/name": "{pod_name}"},
        f"{SERVICE} metadata annotations lb/name",
        "workspace-alice",
        None,
    ),
    "extra_service_config": (
        WITH_SERVICE,
        {"load_balancer_source_ranges": ["10.0.0.0/8"]},
        f"{SERVICE} spec loadBalancerSourceRanges",
        ["10.0.0.0/8"],
        None,
    ),
}
WHEN_DELETED = {"delete_pvc"}  # test_claims.py


def test_every_option_is_here() -> None:
    assert DONE.keys() | WHEN_DELETED == set(StorageOptions.class_trait_names(config=True))


@pytest.mark.parametrize("name", DONE)
def test_what_an_option_does(name: str) -> None:
    beside, value, path, becomes, otherwise = DONE[name]
    assert at(objects(**beside), path) == otherwise
    made = objects(**beside, **{name: value})
    assert at(made, path) == becomes
    valid(made.get(path.split()[0], made["Pod"]))


@pytest.mark.parametrize("given", [{"storage_capacity": None}, {"storage_pvc_ensure": False}])
def test_without_a_claim_the_home_goes_with_the_pod(given: dict[str, Any]) -> None:
    made = objects(**given)
    assert CLAIM not in made
    assert [one["name"] for one in made["Pod"]["spec"]["volumes"]] == ["kworkspace-ssh"]


def test_volumes_without_a_class_are_not_those_of_the_default_class() -> None:
    assert at(objects(storage_class=""), f"{CLAIM} spec storageClassName") == ""


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({"service_type": "ClusterIP"}, 2222),
        ({"service_type": "ClusterIP", "ssh_port": 22}, 22),
        ({"service_type": "NodePort", "ssh_port": 2022}, 22),
    ],
)
def test_the_port_of_a_service(given: dict[str, Any], port: int) -> None:
    made = objects(**given)
    (found,) = at(made, f"{SERVICE} spec ports")
    assert (found["port"], found["targetPort"]) == (port, "ssh")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("storage_capacity", "10GB", ": '10GB' is not a quantity; write a number as"),
        ("storage_capacity", "-1Gi", ": '-1Gi' is negative"),
        ("storage_class", " ", ": it is empty"),
        ("storage_class", 1, ": expected a text, not 1"),
        ("storage_access_modes", ["RWO"], ": there is no 'RWO'; there is ReadWriteOnce, Read"),
        ("storage_access_modes", [], ": it is empty"),
        ("storage_access_modes", "ReadWriteOnce", ": expected a list, not 'ReadWriteOnce'"),
        ("storage_selector", {"matchLabel": {}}, ": matchLabel: there is no such key; did you"),
        ("storage_selector", {"matchLabels": {"a": "{b}"}}, ": '{b}' cannot be expanded:"),
        ("storage_extra_labels", {"kworkspace.io/user": "x"}, ": 'kworkspace.io/user' is one of"),
        ("storage_extra_labels", {"a": "b c"}, "['a']: 'b c' is not a label's value"),
        ("storage_extra_annotations", {"kworkspace.io/slug": "x"}, ": 'kworkspace.io/slug' is one"),
        ("service_port", 0, ": expected 1 to 65535, not 0"),
        ("service_port", "22", ": expected a whole number, not '22'"),
        ("service_annotations", {"a": 1}, "['a']: expected a text, not 1"),
        ("extra_service_config", {"type": "NodePort"}, ": 'type' cannot be set here: set c.Kube"),
        ("extra_service_config", {"ports": []}, ": 'ports' cannot be set here: set c.KubeSpawner"),
        ("extra_service_config", {"selector": {}}, ": 'selector' cannot be set here: it selects"),
        ("extra_service_config", {"sessionAfinity": "x"}, ": sessionAfinity: there is no such key"),
    ],
)
def test_what_is_refused(name: str, value: Any, why: str) -> None:
    assert refused(**{name: value}).startswith(f"{name}{why}")
