"""Label selectors and field selectors, parsed once into a predicate."""

import re
from collections.abc import Callable

from tests.kube_api.api.statuses import bad_request
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object, dig

Predicate = Callable[[Object], bool]
Labels = dict[str, str]
LabelTest = Callable[[Labels], bool]

_SET = re.compile(r"^\s*(?P<key>\S+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*(?P<key>[^\s=!]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s=!]*)\s*$")
_EXISTS = re.compile(r"^\s*(?P<not>!?)\s*(?P<key>[\w./-]+)\s*$")

_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "jobs": ("status.successful",),
    "nodes": ("spec.unschedulable",),
}


def labels(text: str) -> Predicate:
    """Parse a label selector: a=b, a==b, a!=b, a in (b,c), a notin (b), a, !a.

    Raises:
        Refusal: it does not parse.
    """
    tests = [_label_test(part, text) for part in _split(text)]

    def matches(thing: Object) -> bool:
        found: Labels = dig(thing, "metadata", "labels", default={})
        return all(test(found) for test in tests)

    return matches


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    return [part for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def _label_test(part: str, text: str) -> LabelTest:
    if found := _SET.match(part):
        key = found["key"]
        values = {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUAL.match(part):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(part):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f'unable to parse requirement: found "{part}" in "{text}"')


def matches_selector(selector: Object, thing: Object) -> bool:
    """Whether an object matches a LabelSelector object."""
    found: Labels = dig(thing, "metadata", "labels", default={})
    if any(found.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    expressions = selector.get("matchExpressions") or []
    return all(matches_expression(entry, found) for entry in expressions)


def matches_expression(entry: Object, found: Labels) -> bool:
    """Whether labels satisfy one matchExpressions entry, of objects or of nodes."""
    key, operator, values = entry["key"], entry["operator"], entry.get("values") or []
    value = found.get(key)
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return key in found
        case "DoesNotExist":
            return key not in found
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case _:
            return value is not None and int(value) < int(values[0])


def fields(resource: Resource, text: str) -> Predicate:
    """Parse a field selector: a.b=c, a.b==c, a.b!=c.

    Raises:
        Refusal: it does not parse, or the resource has no such field to select by.
    """
    known = {"metadata.name", *_FIELDS.get(resource.plural, ())}
    if resource.namespaced:
        known.add("metadata.namespace")
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for part in _split(text):
        found = re.match(r"^\s*([^=!]+?)\s*(==|=|!=)\s*(.*)$", part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = found.groups()
        if path not in known:
            raise bad_request(
                f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match'
                f' label selector "", field selector "{text}":'
                f" field label not supported: {path}"
            )
        tests.append((tuple(path.split(".")), operator != "!=", value))

    def matches(thing: Object) -> bool:
        return all(
            (str(dig(thing, *path, default="")) == value) is equal for path, equal, value in tests
        )

    return matches


def both(resource: Resource, label_selector: str, field_selector: str) -> Predicate | None:
    """Return the predicate of both selectors, or None where every object passes."""
    tests = []
    if label_selector.strip():
        tests.append(labels(label_selector))
    if field_selector.strip():
        tests.append(fields(resource, field_selector))
    if not tests:
        return None
    return lambda thing: all(test(thing) for test in tests)
