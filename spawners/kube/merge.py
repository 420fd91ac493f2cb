"""Merges one part of a pod into another the way Kubernetes does (strategic merge patch).

Maps are merged key by key, and None takes a key away. A list replaces the other, but for those in
the table, whose items are matched by a key: the API's types mark them with `patchStrategy` and
`patchMergeKey`. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_CONTAINER = {"ports": "containerPort", "env": "name", "volumeMounts": "mountPath"}

# By field: the key that items are matched by. Names of fields are unique among the lists of a pod
# that are merged, and no list that is not merged has one of them.
MERGE_KEYS: Mapping[str, str] = {
    **_CONTAINER,
    "volumeDevices": "devicePath",
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "resourceClaims": "name",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
}
PRIMITIVES = frozenset({"finalizers"})  # lists of texts that are united
# An item is of one kind: what the patch does not say of it, such as another source, is dropped.
RETAIN_KEYS = frozenset({"volumes", "resourceClaims"})


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new object: the base with a patch merged in. Neither is changed."""
    out = {key: value for key, value in base.items() if value is not None}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping):
            under = out.get(key)
            out[key] = merge(under if isinstance(under, Mapping) else {}, value)
        elif key in MERGE_KEYS and _is_items(value):
            out[key] = _merge_items(out.get(key) or [], value, key)
        elif key in PRIMITIVES:
            has = out.get(key) or []
            out[key] = [*has, *(item for item in value if item not in has)]
        else:
            out[key] = value
    return out


def merge_all(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts merged, each into those before it."""
    out: dict[str, Any] = {}
    for part in parts:
        out = merge(out, part)
    return out


def _merge_items(
    base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]], field: str
) -> list[Any]:
    by = MERGE_KEYS[field]
    out = [dict(item) for item in base]
    for item in patch:
        found = [index for index, other in enumerate(out) if other.get(by) == item.get(by)]
        if not found:
            out.append(merge({}, item))
            continue
        other = out[found[0]]
        if field in RETAIN_KEYS:
            other = {key: value for key, value in other.items() if key in item}
        elif field == "env" and not _same_source(other, item):
            other = {by: item[by]}
        out[found[0]] = merge(other, item)
    return out


def _same_source(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both give a variable a value, or both a source: a variable has one of the two."""
    return ("valueFrom" in one) == ("valueFrom" in other)


def _is_items(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
