"""A configuration as an admin writes it, the pod that is made of it, and what it is refused for."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from traitlets import TraitError
from traitlets.config import Config

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.names import account_name, names
from kworkspace.spawners.kube.spawner import KubeSpawner
from tests.kube_api.objects import Object
from tests.spawners.kube.house import workspace

HOST_KEY = "ssh-ed25519 AAAA"
NEWEST = "1.36"


def options(**given: Any) -> KubeSpawner:
    """Return the spawner of a hub_config.py with `c.KubeSpawner.NAME = VALUE`; it is not opened."""
    return KubeSpawner(
        hub_id="hub",
        data_dir=Path("/nowhere"),
        on_exit=lambda _: None,
        config=Config({"KubeSpawner": given}),
    )


def refused(**given: Any) -> str:
    """Return what the configuration is refused for, without `c.KubeSpawner.`."""
    with pytest.raises(TraitError) as caught:
        options(**given)
    prefix, dot, message = str(caught.value).partition("c.KubeSpawner.")
    assert (prefix, dot) == ("", "c.KubeSpawner.")
    return message


def pod_of(spawner: KubeSpawner, whose: Workspace | None = None) -> Object:
    """Return the pod of a workspace, alice's if none is given, that the API would take."""
    whose = whose or workspace()
    made = make_pod(
        spawner,
        whose,
        names(spawner, whose),
        account=account_name(spawner, whose),
        host_key=HOST_KEY,
    )
    kubernetes_validate.validate(made, NEWEST, strict=True)
    return made


def pod(**given: Any) -> Object:
    """Return alice's pod with a configuration."""
    return pod_of(options(**given))


def spec(**given: Any) -> Object:
    """Return the spec of alice's pod with a configuration."""
    found: Object = pod(**given)["spec"]
    return found


def container(**given: Any) -> Object:
    """Return the workspace's container of alice's pod with a configuration."""
    return main(spec(**given))


def main(spec: Object) -> Object:
    """Return the workspace's container of a pod's spec."""
    found: Object = next(one for one in spec["containers"] if one["name"] == "workspace")
    return found


def at(tree: Any, path: str) -> Any:
    """Return what is at a path, None if nothing is.

    Args:
        tree: a pod or a part of one.
        path: keys with a space between. In a list it is an item's name, or its path or number; the
            workspace's container is `main`.
    """
    for step in path.split():
        if step == "main":
            tree = main(tree["spec"])
        elif isinstance(tree, list):
            found = [one for one in tree if step in {one.get("name"), one.get("mountPath")}]
            tree = found[0] if found else tree[int(step)] if step.isdigit() else None
        else:
            tree = tree.get(step)
        if tree is None:
            return None
    return tree
