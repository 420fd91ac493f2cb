"""What an option does to what is made for alice, and what a configuration is refused for."""

from typing import Any

import kubernetes_validate
import pytest
from traitlets import TraitError

from tests.kube_api.objects import Object
from tests.spawners.kube.made import configured, container_of, everything, pod_of

NEWEST = "1.36"


def refused(**options: Any) -> str:
    """Return what the configuration is refused for, without `c.KubeSpawner.`."""
    with pytest.raises(TraitError) as caught:
        configured(**options)
    prefix, dot, message = str(caught.value).partition("c.KubeSpawner.")
    assert (prefix, dot) == ("", "c.KubeSpawner.")
    return message


def pod(**options: Any) -> Object:
    """Return her pod."""
    return pod_of(configured(**options))


def objects(**options: Any) -> dict[str, Object]:
    """Return all her objects by kind."""
    return everything(configured(**options))


def valid(thing: Object) -> Object:
    """Return an object, which Kubernetes' strict schema allows."""
    kubernetes_validate.validate(thing, NEWEST, strict=True)
    return thing


def at(tree: Any, path: str) -> Any:
    """Return what is at a path, None if nothing is.

    Args:
        tree: a pod, a part of one, or objects by kind.
        path: keys with a space between. In a list it is an item's name, or its path or number; the
            workspace's container is `main`.
    """
    for step in path.split():
        if step == "main":
            tree = container_of(tree)
        elif isinstance(tree, list):
            found = [one for one in tree if step in {one.get("name"), one.get("mountPath")}]
            tree = found[0] if found else tree[int(step)] if step.isdigit() else None
        else:
            tree = tree.get(step)
        if tree is None:
            return None
    return tree
