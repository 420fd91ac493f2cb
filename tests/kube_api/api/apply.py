"""Server-side apply, and who manages which field.

Owned fields are sets of paths; a path is a tuple of words as managedFields spells them (`f:name`,
`k:{"name":"a"}`, `v:"x"`), and "." stands for the thing itself.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.kube_api.api.schema import Node
from tests.kube_api.api.statuses import Refusal
from tests.kube_api.objects import Object, clone, now

Path = tuple[str, ...]
Fields = frozenset[Path]

_UNMANAGED = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata", "f:name"),
        ("f:metadata", "f:namespace"),
        ("f:metadata", "f:uid"),
        ("f:metadata", "f:resourceVersion"),
        ("f:metadata", "f:generation"),
        ("f:metadata", "f:creationTimestamp"),
        ("f:metadata", "f:deletionTimestamp"),
        ("f:metadata", "f:deletionGracePeriodSeconds"),
        ("f:metadata", "f:managedFields"),
        ("f:metadata",),
    }
)
_KEY_DEFAULTS = {"protocol": "TCP"}


def field_set(node: Node, thing: Object) -> Fields:
    """Return the paths of all that an object says."""
    return frozenset(path for path, _ in _leaves(node, thing, ())) - _UNMANAGED


def _leaves(node: Node | None, value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield what can be owned: scalars, atomic things, and the entries of maps and keyed lists."""
    if isinstance(value, dict) and value and not (node is not None and node.is_atomic_map):
        for key, entry in value.items():
            child = None if node is None else node.child(key)
            yield from _leaves(child, entry, (*path, f"f:{key}"))
    elif isinstance(value, list) and node is not None and node.list_type == "map":
        for entry in value:
            at = (*path, _entry_word(node, entry))
            yield (*at, "."), None
            yield from _leaves(node.items, entry, at)
    elif isinstance(value, list) and node is not None and node.list_type == "set":
        for entry in value:
            yield (*path, f"v:{json.dumps(entry)}"), entry
    elif path:
        yield path, value


def _entry_word(node: Node, entry: Object) -> str:
    keys = {key: entry.get(key, _KEY_DEFAULTS.get(key)) for key in node.map_keys}
    found = {key: value for key, value in keys.items() if value is not None}
    return f"k:{json.dumps(found, separators=(',', ':'), sort_keys=True)}"


def to_v1(fields: Fields) -> Object:
    """Return the form of metadata.managedFields[].fieldsV1."""
    found: Object = {}
    for path in sorted(fields):
        place = found
        for word in path:
            place = place.setdefault(word, {})
    return found


def from_v1(fields: Object, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of a fieldsV1 object."""
    for word, below in fields.items():
        if below:
            yield from from_v1(below, (*path, word))
        else:
            yield (*path, word)


def managers(thing: Object) -> dict[tuple[str, str, str], Fields]:
    """Return what each manager owns; the keys are (manager, operation, subresource)."""
    entries = thing["metadata"].get("managedFields") or []
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): frozenset(
            from_v1(entry.get("fieldsV1") or {})
        )
        for entry in entries
    }


def set_managers(
    thing: Object, owned: dict[tuple[str, str, str], Fields], api_version: str, old: Object | None
) -> None:
    """Write metadata.managedFields; an entry that did not change keeps its time."""
    before = managers(old) if old is not None else {}
    times = {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry.get("time")
        for entry in (old or {"metadata": {}})["metadata"].get("managedFields") or []
    }
    entries = []
    for key, fields in sorted(owned.items(), key=lambda item: (item[0][1], item[0])):
        if not fields:
            continue
        manager, operation, subresource = key
        entry: Object = {
            "manager": manager,
            "operation": operation,
            "apiVersion": api_version,
            "time": times[key] if before.get(key) == fields else now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": to_v1(fields),
        }
        if subresource:
            entry["subresource"] = subresource
        entries.append(entry)
    if entries:
        thing["metadata"]["managedFields"] = entries
    else:
        thing["metadata"].pop("managedFields", None)


def track_update(
    node: Node,
    old: Object | None,
    new: Object,
    *,
    manager: str,
    subresource: str,
    api_version: str,
) -> None:
    """Give a manager what a plain write changed, and take from all what it removed."""
    leaves = dict(_leaves(node, new, ()))
    fields = frozenset(leaves) - _UNMANAGED
    if old is None:
        changed, owned = fields, {}
    else:
        before = dict(_leaves(node, old, ()))
        missing = object()
        changed = frozenset(path for path in fields if before.get(path, missing) != leaves[path])
        owned = {key: held & fields for key, held in managers(old).items()}
    mine = (manager, "Update", subresource)
    owned = {key: held if key == mine else held - changed for key, held in owned.items()}
    owned[mine] = owned.get(mine, frozenset()) | changed
    set_managers(new, owned, api_version, old)


def apply(
    node: Node,
    live: Object,
    applied: Object,
    *,
    manager: str,
    force: bool,
    api_version: str,
) -> Object:
    """Return the live object with an applied configuration merged in.

    Args:
        live: the object as it is; one with nothing but its names where there is none yet.
        applied: what the manager wants to own.

    Raises:
        Refusal: 409, another manager owns what would change.
    """
    mine = (manager, "Apply", "")
    owned = managers(live)
    before = owned.pop(mine, frozenset())
    wanted = field_set(node, applied)
    have = dict(_leaves(node, live, ()))
    want = dict(_leaves(node, applied, ()))
    conflicts = _conflicts(owned, {path for path in wanted if have.get(path) != want[path]})
    if conflicts and not force:
        raise _conflict(conflicts, api_version)
    new: Object = clone(merged(node, live, applied))
    for path, key in conflicts:
        owned[key] -= {path}
    others = frozenset().union(*owned.values()) if owned else frozenset()
    # Whole entries of keyed lists first: without their keys nobody would find them.
    for path in sorted(before - wanted - others, key=lambda path: (path[-1] != ".", len(path))):
        _remove(node, new, path)
    owned[mine] = wanted
    set_managers(new, owned, api_version, live)
    return new


def _conflicts(
    owned: dict[tuple[str, str, str], Fields], changed: set[Path]
) -> list[tuple[Path, tuple[str, str, str]]]:
    return [
        (path, key)
        for key, fields in owned.items()
        for path in sorted(fields & changed)
        if path[-1] != "."
    ]


def _conflict(conflicts: list[tuple[Path, tuple[str, str, str]]], api_version: str) -> Refusal:
    causes, lines = [], []
    for path, (manager, operation, _) in conflicts:
        using = f" using {api_version}" if operation == "Update" else ""
        field = "".join(_shown(word) for word in path)
        words = f'conflict with "{manager}"{using}'
        causes.append({"reason": "FieldManagerConflict", "message": words, "field": field})
        lines.append(f"{words}: {field}")
    count = len(lines)
    text = lines[0] if count == 1 else "conflicts " + "\n- ".join(lines)
    message = f"Apply failed with {count} conflict{'' if count == 1 else 's'}: {text}"
    return Refusal(409, "Conflict", message, {"causes": causes})


def _shown(word: str) -> str:
    if word.startswith("f:"):
        return f".{word[2:]}"
    if word.startswith("k:"):
        keys = json.loads(word[2:])
        return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"
    return f"[={word[2:]}]"


def merged(node: Node | None, live: Any, applied: Any) -> Any:
    """Merge by the schema: maps and keyed lists deeply, sets united, all else replaced."""
    if isinstance(applied, dict) and isinstance(live, dict):
        if node is not None and node.is_atomic_map:
            return applied
        found = dict(live)
        for key, value in applied.items():
            child = None if node is None else node.child(key)
            found[key] = merged(child, live[key], value) if key in live else value
        return found
    if isinstance(applied, list) and isinstance(live, list) and node is not None:
        if node.list_type == "set":
            return live + [entry for entry in applied if entry not in live]
        if node.list_type == "map":
            return _merged_list(node, live, applied)
    return applied


def _merged_list(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    words = [_entry_word(node, entry) for entry in live]
    found = list(live)
    for entry in applied:
        word = _entry_word(node, entry)
        if word in words:
            place = words.index(word)
            found[place] = merged(node.items, live[place], entry)
        else:
            found.append(entry)
    return found


def _remove(node: Node | None, value: Any, path: Path) -> None:
    """Take out what stands at a path, and maps that this leaves empty."""
    word, rest = path[0], path[1:]
    if isinstance(value, dict):
        _remove_field(node, value, word[2:], rest)
    elif isinstance(value, list) and word.startswith("v:"):
        entry = json.loads(word[2:])
        value[:] = [one for one in value if one != entry]
    elif isinstance(value, list) and node is not None:
        for entry in [one for one in value if _entry_word(node, one) == word]:
            if rest == (".",):
                value.remove(entry)
            else:
                _remove(node.items, entry, rest)


def _remove_field(node: Node | None, value: Object, key: str, rest: Path) -> None:
    if key in value and not rest:
        del value[key]
    elif isinstance(value.get(key), dict | list):
        _remove(None if node is None else node.child(key), value[key], rest)
        if not value[key]:
            del value[key]
