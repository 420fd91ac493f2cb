"""Workspaces as processes on the hub's own machine: for one person, or a machine that is trusted.

`LocalSpawner` is the spawner; `server` is the process that it starts for each workspace.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kworkspace.spawners.local.spawner import LocalSpawner

__all__ = ["LocalSpawner"]


def __getattr__(name: str) -> object:
    # Late, because each workspace's process imports this package and must start fast.
    if name in __all__:
        return getattr(import_module("kworkspace.spawners.local.spawner"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
