"""Whether this machine has what LocalSpawner needs: at each start, and for `check`."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.base import Check
from kworkspace.spawners.local.accounts import check_hub

MACHINE = "this machine"


def checks(root: Path, *, system_users: bool) -> list[Check]:
    """Return what is needed, and whether it is there; nothing is changed.

    Args:
        root: the workspaces' directory, there or not yet.
        system_users: whether each workspace runs as an account of its own.
    """
    there = next(path for path in (root, *root.parents) if path.exists())
    found = [
        _checked("Linux with pidfd and /proc", MACHINE, check_machine),
        _checked("write", str(root), partial(_check_writable, there)),
    ]
    if system_users:
        found.append(_checked("run as any account", MACHINE, partial(check_hub, there)))
    return found


def check_machine() -> None:
    """See that processes can be watched here.

    Raises:
        KworkspaceError: they cannot.
    """
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        raise KworkspaceError(
            "LocalSpawner needs Linux with pidfd and /proc; run the hub on Linux, or set"
            " c.Hub.spawner_class to another spawner."
        )
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise KworkspaceError(
            f"LocalSpawner needs Linux 5.3 or later with pidfd_open: {error.strerror}."
        ) from error


def _check_writable(directory: Path) -> None:
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        raise KworkspaceError(
            f"{directory} cannot be written: set c.Hub.data_dir to a directory that can"
        )


def _checked(what: str, where: str, look: Callable[[], None]) -> Check:
    try:
        look()
    except KworkspaceError as error:
        return Check(what, where, ok=False, detail=error.message)
    return Check(what, where, ok=True)
