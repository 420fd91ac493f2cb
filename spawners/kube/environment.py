"""The variables of a workspace's container, in an order in which references resolve. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from kworkspace.spawners.kube import templates

_REFERENCE = re.compile(r"\$\(([^)]+)\)")


def variables(environment: Mapping[str, Any], values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the `env` of a container.

    Kubernetes replaces $(NAME) by a variable that stands before; so each stands after those that
    it refers to, and else they are in the order of their names.

    Args:
        environment: texts, which are templates, or objects as Kubernetes has them.
        values: what the templates' fields mean.
    """
    left = {
        name: templates.expand_all({**item} if isinstance(item, Mapping) else item, values)
        for name, item in sorted(environment.items())
    }
    items = {
        name: item if isinstance(item, dict) else {"name": name, "value": item}
        for name, item in left.items()
    }
    ordered: list[dict[str, Any]] = []
    while items:
        ready = [name for name, item in items.items() if not _needs(name, item) & items.keys()]
        # In a circle none can resolve.
        ordered.extend(items.pop(name) for name in ready or list(items))
    return ordered


def _needs(name: str, item: Mapping[str, Any]) -> set[str]:
    return set(_REFERENCE.findall(item.get("value") or "")) - {name}
