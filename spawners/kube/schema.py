"""What Kubernetes' objects may contain: their keys, types and required fields.

Taken from the models of kubernetes_asyncio, and asked only when the configuration is read: the
import of these models takes a second. A key may be written as Kubernetes does (`envFrom`) or as
its Python client does (`env_from`); what comes out has Kubernetes' own.
"""

import difflib
import functools
import importlib
import re
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from kworkspace.spawners.kube.quantities import QuantityError, parse_quantity, quantity_text

_LIST = re.compile(r"list\[(.+)\]")
_DICT = re.compile(r"dict\(str, (.+)\)")
_QUANTITIES = frozenset(
    {
        ("V1ResourceRequirements", "limits"),
        ("V1ResourceRequirements", "requests"),
        ("V1VolumeResourceRequirements", "limits"),
        ("V1VolumeResourceRequirements", "requests"),
        ("V1PodSpec", "overhead"),
    }
)
_QUANTITY = frozenset(
    {("V1EmptyDirVolumeSource", "sizeLimit"), ("V1ResourceFieldSelector", "divisor")}
)
# Required by the API, and not by the models, which is what the client's own generator left out.
_ENUMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("V1Container", "imagePullPolicy"): ("Always", "IfNotPresent", "Never"),
    ("V1ContainerPort", "protocol"): ("TCP", "UDP", "SCTP"),
    ("V1PodSpec", "dnsPolicy"): ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
    ("V1PodSpec", "preemptionPolicy"): ("Never", "PreemptLowerPriority"),
    ("V1PodSpec", "restartPolicy"): ("Always", "OnFailure", "Never"),
    ("V1Toleration", "operator"): ("Exists", "Equal", "Lt", "Gt"),
    ("V1Toleration", "effect"): ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    ("V1NodeSelectorRequirement", "operator"): (
        "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt",
    ),
    ("V1LabelSelectorRequirement", "operator"): ("In", "NotIn", "Exists", "DoesNotExist"),
    ("V1SeccompProfile", "type"): ("Localhost", "RuntimeDefault", "Unconfined"),
    ("V1TopologySpreadConstraint", "whenUnsatisfiable"): ("DoNotSchedule", "ScheduleAnyway"),
    ("V1PodSecurityContext", "fsGroupChangePolicy"): ("OnRootMismatch", "Always"),
}  # fmt: skip


class SchemaError(ValueError):
    """What Kubernetes would refuse; the message names the place and what is allowed."""


def conform(
    value: Any,
    kind: str,
    where: str = "",
    *,
    partial: bool = False,
    within: tuple[str, ...] = (),
) -> Any:
    """Return a value with Kubernetes' own keys, or say what is wrong with it.

    Args:
        value: plain dicts, lists, texts and numbers.
        kind: of what, as the models say it: "V1PodSpec", "list[V1Volume]", "dict(str, str)".
        where: the path to it, for messages.
        partial: it is to be merged into something else, so that nothing at its top is required.
        within: keys of it for which that holds too.

    Raises:
        SchemaError: an unknown key, a wrong type or a missing field.
    """
    if match := _LIST.fullmatch(kind):
        if not isinstance(value, list | tuple):
            raise SchemaError(_said(where, f"expected a list, not {_shown(value)}"))
        items = enumerate(value)
        return [conform(item, match[1], f"{where}[{index}]") for index, item in items]
    if match := _DICT.fullmatch(kind):
        return {
            key: conform(item, match[1], _join(where, key))
            for key, item in _mapping(value, where).items()
        }
    if kind in _SCALARS:
        return _scalar(value, kind, where)
    return _object(value, kind, where, partial=partial, within=within)


def keys(kind: str) -> list[str]:
    """Return the keys that an object may have, as Kubernetes writes them."""
    return sorted(_model(kind).types)


def _object(
    value: Any, kind: str, where: str, *, partial: bool, within: tuple[str, ...]
) -> dict[str, Any]:
    model = _model(kind)
    out: dict[str, Any] = {}
    for key, item in _mapping(value, where).items():
        name = model.spelling.get(key)
        if name is None:
            raise SchemaError(_said(_join(where, key), _unknown(key, model)))
        if name in out:
            raise SchemaError(_said(_join(where, key), f"'{name}' is there twice"))
        if name in within and item is not None:
            out[name] = conform(item, model.types[name], _join(where, key), partial=True)
        else:
            out[name] = None if item is None else _field(item, kind, name, _join(where, key))
    missing = [] if partial else [key for key in model.required if out.get(key) is None]
    if missing:
        raise SchemaError(_said(where, f"'{missing[0]}' is missing"))
    return out


def _field(item: Any, kind: str, name: str, where: str) -> Any:
    if (kind, name) in _QUANTITIES:
        return {
            key: _quantity(one, _join(where, key)) for key, one in _mapping(item, where).items()
        }
    if (kind, name) in _QUANTITY:
        return _quantity(item, where)
    allowed = _ENUMS.get((kind, name))
    if allowed is not None and item not in allowed:
        raise SchemaError(_said(where, f"expected one of {', '.join(allowed)}, not {item!r}"))
    return conform(item, _model(kind).types[name], where)


def _quantity(value: Any, where: str) -> str:
    try:
        parse_quantity(value)
        return quantity_text(value)
    except QuantityError as error:
        raise SchemaError(_said(where, str(error))) from None


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SchemaError(_said(where, f"expected a dictionary, not {_shown(value)}"))
    for key in value:
        if not isinstance(key, str):
            raise SchemaError(_said(where, f"expected a text as key, not {key!r}"))
    return value


_SCALARS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
    "datetime": ((str,), "a time as text"),
    "object": ((str, int, float, bool, dict, list), "a value"),
}


def _scalar(value: Any, kind: str, where: str) -> Any:
    types, words = _SCALARS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise SchemaError(_said(where, f"expected {words}, not {_shown(value)}"))
    return value


@functools.cache
def _model(kind: str) -> SimpleNamespace:
    """Return an object's `types` by key, `required` keys, and `spelling` of keys."""
    models = importlib.import_module("kubernetes_asyncio.client.models")
    model = getattr(models, kind)
    attributes: dict[str, str] = model.attribute_map
    # The setters are what the models say about required fields: they refuse None.
    blank = model.__new__(model)
    blank.local_vars_configuration = SimpleNamespace(client_side_validation=True)
    required = []
    for attribute, key in attributes.items():
        try:
            setattr(blank, attribute, None)
        except ValueError:
            required.append(key)
    return SimpleNamespace(
        types={attributes[name]: kind for name, kind in model.openapi_types.items()},
        required=required,
        spelling={key: key for key in attributes.values()} | attributes,
    )


def _unknown(key: str, model: SimpleNamespace) -> str:
    near = difflib.get_close_matches(key, model.spelling, 1)
    if near:
        return f"there is no such key; did you mean '{model.spelling[near[0]]}'?"
    return f"there is no such key; there are {', '.join(sorted(model.types))}"


def _said(where: str, what: str) -> str:
    return f"{where}: {what}" if where else what


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
