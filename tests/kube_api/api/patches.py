"""The three patches that are no apply: JSON patch, merge patch and strategic merge patch."""

import json
from typing import Any

from tests.kube_api.api.schema import Node
from tests.kube_api.api.statuses import Refusal, bad_request
from tests.kube_api.objects import Object, clone


def merge(target: Any, patch: Any) -> Any:
    """Return the target with a merge patch applied (RFC 7396)."""
    if not isinstance(patch, dict):
        return clone(patch)
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def json_patch(target: Object, operations: Any) -> Object:
    """Return the target with a JSON patch applied (RFC 6902).

    Raises:
        Refusal: 400 where it is no patch, 422 where it cannot be carried out.
    """
    if not isinstance(operations, list):
        raise bad_request(
            "json: cannot unmarshal object into Go value of type jsonpatch.Patch"
            if isinstance(operations, dict)
            else "error decoding patch"
        )
    found: Any = clone(target)
    for step in operations:
        try:
            found = _operate(found, step)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            shown = json.dumps(step.get("path", "") if isinstance(step, dict) else step)
            message = f"the server rejected our request due to an error in our request: {shown}"
            raise Refusal(422, "Invalid", message, {}) from error
    if not isinstance(found, dict):
        raise bad_request("the patch leaves no object")
    return found


def _operate(document: Any, step: Object) -> Any:
    path = _pointer(step["path"])
    match step["op"]:
        case "test":
            if _read(document, path) != step["value"]:
                raise ValueError(step["path"])
        case "remove":
            return _removed(document, path)
        case "add":
            return _added(document, path, clone(step["value"]))
        case "replace":
            _read(document, path)
            return _added(_removed(document, path), path, clone(step["value"]))
        case "move":
            value = _read(document, source := _pointer(step["from"]))
            return _added(_removed(document, source), path, value)
        case "copy":
            return _added(document, path, clone(_read(document, _pointer(step["from"]))))
        case unknown:
            raise ValueError(unknown)
    return document


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _read(value: Any, path: list[str]) -> Any:
    for part in path:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _removed(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    holder = _read(document, path[:-1])
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
    return document


def _added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    holder, last = _read(document, path[:-1]), path[-1]
    if isinstance(holder, list):
        holder.insert(len(holder) if last == "-" else int(last), value)
    else:
        holder[last] = value
    return document


def strategic(node: Node, target: Any, patch: Any) -> Any:
    """Return the target with a strategic merge patch applied: lists merge by their keys.

    Raises:
        Refusal: 400, an entry of a keyed list lacks its key.
    """
    if not isinstance(patch, dict):
        return clone(patch)
    if patch.get("$patch") == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    found = dict(target) if isinstance(target, dict) else {}
    if (kept := patch.get("$retainKeys")) is not None:
        found = {key: value for key, value in found.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$"):
            _directive(found, key, value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = _strategic_field(node.child(key), found.get(key), value)
    return found


def _directive(found: Object, key: str, value: Any) -> None:
    if key.startswith("$deleteFromPrimitiveList/"):
        name = key.partition("/")[2]
        found[name] = [entry for entry in found.get(name, []) if entry not in value]


def _strategic_field(node: Node | None, old: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return strategic(node or Node({}), old, value)
    if isinstance(value, list) and node is not None and node.patch_merges:
        before = old if isinstance(old, list) else []
        if node.patch_key:
            return _merge_list(node, before, value)
        return before + [entry for entry in value if entry not in before]
    return clone(value)


def _merge_list(node: Node, old: list[Any], patch: list[Any]) -> list[Any]:
    key, item = node.patch_key, node.items or Node({})
    if any(entry.get("$patch") == "replace" for entry in patch):
        return [clone(entry) for entry in patch if entry.get("$patch") != "replace"]
    found = list(old)
    for entry in patch:
        if key not in entry:
            raise bad_request(f"map: map[] does not contain declared merge key: {key}")
        place = next((i for i, one in enumerate(found) if one.get(key) == entry[key]), None)
        if entry.get("$patch") == "delete":
            if place is not None:
                del found[place]
        elif place is None:
            found.append(strategic(item, {}, entry))
        else:
            found[place] = strategic(item, found[place], entry)
    return found
