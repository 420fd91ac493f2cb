"""Strategic merge patches; which lists are merged, and by what, is Kubernetes' own table."""

import copy
import importlib.resources
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.kube.merge import (
    MERGE_KEYS,
    PRIMITIVES,
    RETAIN_KEYS,
    merge,
    merge_all,
)


def lists_of_a_pod() -> Iterator[tuple[str, str, str]]:
    """Yield each list in a pod's metadata and spec: field, strategies, key of its items."""
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    text = (folder / "v1.36.0-local-strict" / "_definitions.json").read_text()
    kinds = json.loads(text)["$defs"]
    core, meta = "io.k8s.api.core.v1", "io.k8s.apimachinery.pkg.apis.meta.v1"
    left, seen = [f"{core}.PodSpec", f"{meta}.ObjectMeta"], set[str]()
    while left:
        kind = left.pop()
        if kind in seen:
            continue
        seen.add(kind)
        for name, field in kinds[kind].get("properties", {}).items():
            if "array" in field.get("type", ()):
                yield (
                    name,
                    field.get("x-kubernetes-patch-strategy", ""),
                    field.get("x-kubernetes-patch-merge-key", ""),
                )
            places = (field, field.get("items", {}), field.get("additionalProperties") or {})
            left += [one["$ref"].rpartition("/")[2] for one in places if "$ref" in one]


def test_the_table_is_kubernetes_own() -> None:
    table = set(lists_of_a_pod())
    merged = {(name, key) for name, strategy, key in table if "merge" in strategy}
    replaced = {name for name, strategy, _ in table if "merge" not in strategy}
    assert merged == {*MERGE_KEYS.items(), *((name, "") for name in PRIMITIVES)}
    assert replaced.isdisjoint({name for name, _ in merged}), "a name says how it is merged"
    retained = {name for name, strategy, _ in table if "retainKeys" in strategy}
    assert retained == RETAIN_KEYS
    assert "tolerations" in replaced


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": 1, "b": 2}, {"a": None, "x": None}, {"b": 2}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
        ({"a": None}, {}, {}),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        (
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]},
        ),
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "c"}, {"name": "a", "tty": True}]},
            {
                "containers": [
                    {"name": "a", "image": "1", "tty": True},
                    {"name": "b"},
                    {"name": "c"},
                ]
            },
        ),
        (
            {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/x", "name": "v"}]}]},
            {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/y", "name": "v"}]}]},
            {
                "containers": [
                    {
                        "name": "a",
                        "volumeMounts": [
                            {"mountPath": "/x", "name": "v"},
                            {"mountPath": "/y", "name": "v"},
                        ],
                    }
                ]
            },
        ),
        (
            {"volumeMounts": [{"mountPath": "/x", "name": "v"}]},
            {"volumeMounts": [{"mountPath": "/x", "name": "w", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/x", "name": "w", "readOnly": True}]},
        ),
        (
            {"ports": [{"containerPort": 80, "name": "web"}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}]},
            {
                "ports": [
                    {"containerPort": 80, "name": "web", "protocol": "TCP"},
                    {"containerPort": 81},
                ]
            },
        ),
        # A volume is of one kind: the other one's is dropped.
        (
            {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]},
            {"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]},
            {"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]},
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]},
            {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]},
            {"volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]},
        ),
        # A variable has a value or a source.
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]},
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "value": "1"}]},
        ),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["b", "c"]}, {"finalizers": ["a", "b", "c"]}),
        ({"containers": [{"name": "a"}]}, {"containers": None}, {}),
        ({}, {"containers": [{"name": "a", "image": None}]}, {"containers": [{"name": "a"}]}),
    ],
)
def test_one_into_another(
    base: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    before = copy.deepcopy((base, patch))
    assert merge(base, patch) == merged
    assert (base, patch) == before, "neither is changed"


def test_later_ones_count_more() -> None:
    assert merge_all({"a": 1, "b": 1}, {"a": 2}, {"a": 3, "b": None}) == {"a": 3}
    assert merge_all() == {}


NAMES = st.sampled_from(["a", "b", "c"])
ITEMS = st.lists(
    st.fixed_dictionaries({"name": NAMES}, optional={"image": NAMES}),
    max_size=3,
    unique_by=lambda item: item["name"],
)
PARTS = st.fixed_dictionaries(
    {},
    optional={"containers": ITEMS, "hostname": NAMES, "tolerations": st.lists(NAMES, max_size=2)},
)


@given(PARTS, PARTS)
def test_a_patch_counts_whole_and_once(base: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge(base, patch)
    assert merge(merged, patch) == merged
    assert merge(base, {}) == base
    assert {**base, **patch}.keys() == merged.keys()
    by_name = {item["name"]: item for item in merged.get("containers", [])}
    assert len(by_name) == len(merged.get("containers", [])), "each name once"
    for item in patch.get("containers", []):
        assert item.items() <= by_name[item["name"]].items()
    assert by_name.keys() == {
        item["name"] for part in (base, patch) for item in part.get("containers", [])
    }
