"""The real API's schemas, out of kubernetes-validate: types, keys of lists, unknown fields.

`decode` does what the server's decoder does: drops nulls and fields that it does not know, and
refuses values of a wrong type.
"""

import importlib.resources
from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any

import msgspec

from tests.kube_api.api.statuses import bad_request, cause, invalid
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object

VERSION = "1.36.0"

_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_SHOWN = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
}
_GO = {"string": "string", "boolean": "bool", "number": "float64"}


class Node:
    """What is known of one place in an object."""

    def __init__(self, raw: Object, type_name: str = "") -> None:
        self.type_name = type_name
        self._raw = raw
        types = raw.get("type", ())
        self.types = [types] if isinstance(types, str) else list(types)
        self.list_type: str = raw.get("x-kubernetes-list-type", "atomic")
        self.map_keys: list[str] = raw.get("x-kubernetes-list-map-keys", [])
        self.is_atomic_map = raw.get("x-kubernetes-map-type") == "atomic"
        strategies = raw.get("x-kubernetes-patch-strategy", "").split(",")
        self.patch_merges = "merge" in strategies
        self.patch_key: str = raw.get("x-kubernetes-patch-merge-key", "")
        self.required: list[str] = raw.get("required", [])

    @property
    def type(self) -> str:
        """The JSON type, "" where any is allowed."""
        return next((name for name in self.types if name != "null"), "")

    @cached_property
    def properties(self) -> dict[str, "Node"]:
        """The fields by name."""
        return {name: _node(raw) for name, raw in self._raw.get("properties", {}).items()}

    @cached_property
    def items(self) -> "Node | None":
        """What an array holds."""
        return _node(self._raw["items"]) if "items" in self._raw else None

    @cached_property
    def values(self) -> "Node | None":
        """What a map from any key holds."""
        more = self._raw.get("additionalProperties")
        return _node(more) if isinstance(more, dict) else None

    @property
    def is_open(self) -> bool:
        """Whether any field may stand here."""
        return not self._raw.get("properties") and self._raw.get("additionalProperties") is None

    @property
    def go_type(self) -> str:
        """The server's name for a scalar's type."""
        return _GO.get(self.type) or self._raw.get("format", "int32")

    def child(self, key: str) -> "Node | None":
        """The node of a field, or of a map's value."""
        return self.properties.get(key) or self.values


@cache
def _definitions() -> dict[str, Object]:
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    text = (folder / f"v{VERSION}-local-strict" / "_definitions.json").read_bytes()
    found: dict[str, Object] = msgspec.json.decode(text)["$defs"]
    return found


@cache
def _defined(name: str) -> Node:
    return Node(_definitions()[name], name.rpartition(".")[2])


def _node(raw: Object) -> Node:
    """The node of a schema: what stands beside a reference (list keys, strategies) counts too."""
    reference = raw.get("$ref", "")
    if not reference:
        return Node(raw)
    name = reference.rpartition("/")[2]
    beside = {key for key in raw if key not in {"$ref", "description", "default"}}
    if not beside:
        return _defined(name)
    return Node(_definitions()[name] | {key: raw[key] for key in beside}, name.rpartition(".")[2])


@cache
def of(resource: Resource) -> Node:
    """Return the schema of a resource's objects."""
    for name, raw in _definitions().items():
        for entry in raw.get("x-kubernetes-group-version-kind", ()):
            if (entry["group"], entry["version"], entry["kind"]) == (
                resource.group,
                resource.version,
                resource.kind,
            ):
                return _defined(name)
    raise KeyError(resource.kind)


def decode(resource: Resource, body: Any) -> tuple[Object, list[str]]:
    """Return a copy of an object without nulls and unknown fields, and the paths of those fields.

    Raises:
        Refusal: 400, a value has a wrong type.
    """
    unknown: list[str] = []
    if not isinstance(body, dict):
        raise bad_request(f"couldn't get version/kind; json parse error: {body!r:.50}")
    return _decode(of(resource), body, (), unknown, resource), unknown


def _decode(
    node: Node, value: Any, path: tuple[str, ...], unknown: list[str], resource: Resource
) -> Any:
    expected = _JSON_TYPES.get(node.type)
    if expected is None:
        return value
    if not isinstance(value, expected) or (isinstance(value, bool) and node.type != "boolean"):
        words = [word for word in path if not word.isdigit()]
        holder = resource.kind
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: json: cannot unmarshal {_SHOWN.get(type(value), 'value')} into Go"
            f" struct field {holder}.{'.'.join(words)} of type {node.go_type}"
        )
    if isinstance(value, dict):
        return _decode_map(node, value, path, unknown, resource)
    if isinstance(value, list) and node.items is not None:
        item = node.items
        return [
            _decode(item, entry, (*path, str(index)), unknown, resource)
            for index, entry in enumerate(value)
        ]
    return value


def _decode_map(
    node: Node, value: Object, path: tuple[str, ...], unknown: list[str], resource: Resource
) -> Object:
    if node.is_open:
        return value
    found: Object = {}
    for key, entry in value.items():
        child = node.child(key)
        if child is None:
            unknown.append(_spelt((*path, key)))
        elif entry is not None:
            found[key] = _decode(child, entry, (*path, key), unknown, resource)
    return found


def _spelt(path: tuple[str, ...]) -> str:
    text = ""
    for word in path:
        text += f"[{word}]" if word.isdigit() else f".{word}"
    return text.removeprefix(".")


def check_required(resource: Resource, thing: Object) -> None:
    """See that nothing is missing which the schema wants.

    Raises:
        Refusal: 422.
    """
    missing = [
        cause("FieldValueRequired", "Required value", path)
        for path in _missing(of(resource), thing, ())
    ]
    if missing:
        raise invalid(resource, thing["metadata"].get("name", ""), missing)


def _missing(node: Node, value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for name in node.required:
            if value.get(name) in (None, []) and node.type == "object":
                yield _spelt((*path, name))
        for key, entry in value.items():
            child = node.child(key)
            if child is not None and isinstance(entry, dict | list) and (path or key != "status"):
                yield from _missing(child, entry, (*path, key))
    elif isinstance(value, list) and node.items is not None:
        for index, entry in enumerate(value):
            yield from _missing(node.items, entry, (*path, str(index)))
