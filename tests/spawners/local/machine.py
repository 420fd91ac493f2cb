"""A machine of the tests' own, with accounts of its own: a mount namespace (mount_namespaces(7)).

Nothing of the real machine's changes: /etc/passwd and its like, /home and what stands between an
account and this Python are others, as long as a test is inside.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNS = 0x00020000  # linux/sched.h
FIRST_UID = 61001
SHARED_GROUP = 61500
_NOW = "20000"  # a day of shadow(5), in 2024


def _call(name: str, *args: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@contextmanager
def own_namespace() -> Iterator[None]:
    """Be in a mount namespace of our own for the time of a block, or skip the test."""
    if os.geteuid() != 0:
        pytest.skip("only root can run workspaces as accounts")
    directory = Path.cwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        _call("unshare", _CLONE_NEWNS)
    except OSError as error:
        os.close(before)
        pytest.skip(f"no mount namespace can be made here: {error.strerror}")
    try:
        _mount("--make-rprivate", "/")
        yield
    finally:
        _call("setns", before, _CLONE_NEWNS)
        os.close(before)
        os.chdir(directory)


def people(folder: Path, names: list[str]) -> dict[str, int]:
    """Make accounts with homes, only in this namespace; return their uids."""
    uids = {name: FIRST_UID + number for number, name in enumerate(names)}
    lines: dict[str, list[str]] = {"passwd": [], "group": [], "shadow": []}
    for name, uid in uids.items():
        lines["passwd"].append(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash")
        lines["group"].append(f"{name}:x:{uid}:")
        lines["shadow"].append(f"{name}:*:{_NOW}:0:99999:7:::")
    lines["group"].append(f"kwshared:x:{SHARED_GROUP}:{','.join(names)}")
    for name, added in lines.items():
        file = folder / name
        real = Path("/etc", name)
        file.write_text(real.read_text().rstrip("\n") + "\n" + "\n".join(added) + "\n")
        file.chmod(real.stat().st_mode & 0o777)
        _mount("--bind", file, real)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/home")
    for name, uid in uids.items():
        home = Path("/home", name)
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
    return uids


def reachable_python(folder: Path) -> None:
    """Put nothing in an account's way to this Python: a root's own one may lie in /root."""
    prefix = Path(sys.base_prefix).resolve()
    closed = [path for path in reversed(prefix.parents) if not path.stat().st_mode & 0o001]
    if not closed:
        return
    aside = folder / "python"
    aside.mkdir()
    _mount("--bind", prefix, aside)
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", closed[0])
    prefix.mkdir(parents=True)
    _mount("--bind", aside, prefix)
