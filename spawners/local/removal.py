"""Removes a workspace's directory for ever: nothing outside of it, and all of what is in it.

Links are removed, not what they lead to. What is mounted below is somebody else's: then nothing is
removed at all. A removal that was cut off is finished by the next one.
"""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.local.launch import held_lock
from kworkspace.spawners.local.state import Paths

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def remove(paths: Paths) -> bool:
    """Remove a workspace's directory, unless a process of it lives.

    Args:
        paths: of the workspace.

    Returns:
        Whether it is gone; False when somebody has started the workspace meanwhile.

    Raises:
        KworkspaceError: something is mounted in it.
        OSError: something cannot be removed.
    """
    _check_mounts(paths.root)
    try:
        with held_lock(paths) as lock:
            if lock is None:
                return False
            # Out of the way first: a start by another hub from now on finds nothing half removed.
            paths.root.rename(paths.root.with_name(f".deleted.{paths.root.name}.{uuid4().hex}"))
    except FileNotFoundError:
        if os.path.lexists(paths.root):  # it was never started
            _remove_tree(paths.root)
    for left in paths.root.parent.glob(f".deleted.{paths.root.name}.*"):
        _check_mounts(left)
        _remove_tree(left)
    return True


def _check_mounts(directory: Path) -> None:
    """See that nothing is mounted in a directory (proc_pid_mountinfo(5), field 5).

    Raises:
        KworkspaceError: something is.
    """
    inside = f"{directory.resolve()}/"
    for line in MOUNTS.read_text(errors="surrogateescape").splitlines():
        found = _OCTAL.sub(lambda match: chr(int(match[1], 8)), line.split()[4])
        if f"{found}/".startswith(inside):
            raise KworkspaceError(
                f"The workspace cannot be deleted: {found} is a mount point. Unmount it first;"
                " what is mounted there is not the workspace's."
            )


def _remove_tree(directory: Path) -> None:
    while os.path.lexists(directory):
        # What vanishes meanwhile is another hub's doing, which removes it too: it gets done.
        with suppress(FileNotFoundError):
            if directory.is_symlink():
                directory.unlink()
                return
            if os.geteuid() != 0:  # root may without
                _make_writable(directory)
            shutil.rmtree(directory)


def _make_writable(directory: Path) -> None:
    """Let its owner change each directory (Go's module cache is read-only, for one)."""
    for folder, names, _ in os.walk(directory, topdown=True):
        Path(folder).chmod(0o700)
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o700)
