"""Workspaces as pods: what is configured, the objects that are made of it, and the calls for them.

`config` and the builders in `manifests` are plain data in, plain data out: no call, no clock. Only
`client` speaks to an API server, and only the spawner decides what is to be there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kworkspace.spawners.kube.spawner import KubeSpawner

__all__ = ["KubeSpawner"]


def __getattr__(name: str) -> object:
    # Late, as kubernetes_asyncio takes a while to import: a hub on one machine never needs it.
    if name in __all__:
        return getattr(import_module("kworkspace.spawners.kube.spawner"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
