"""Limits of CPU and memory for a workspace's processes, by a control group of their own.

Where systemd runs, it is asked for a scope (systemd-run(1)): the hierarchy is its own there.
Elsewhere, as in a container, the files of the hub's control group are used (cgroups(7)), of
version 2 or 1. Both put words before the workspace's command, so that it is within its limits from
its first moment on and keeps its pid. Where neither can be had, a hub that is to limit does not
start.
"""

import errno
import math
import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Integer, TraitError

from kworkspace.cli.client.errors import KworkspaceError

SYSTEMD = Path("/run/systemd/system")
MOUNTS = Path("/proc/self/mountinfo")
MEMBERSHIP = Path("/proc/self/cgroup")
PERIOD_MICROSECONDS = 100_000
_ASK_SECONDS = 10
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_JOIN = 'for f; do shift; [ "$f" = -- ] && break; echo $$ >"$f" || exit 1; done; exec "$@"'


class Bytes(Integer[Any, Any]):
    """A trait for bytes: a number, or one with K, M, G or T behind it, as in JupyterHub."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the number of bytes."""
        if isinstance(value, str):
            found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", value.strip().upper())
            if found is None:
                raise TraitError(
                    f"The '{self.name}' trait expected bytes, as '512M' or '4G', not '{value}'"
                )
            value = int(float(found[1]) * _UNITS[found[2]])
        return super().validate(obj, value)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may use.

    Attributes:
        cpu: cores; 0 is no limit.
        memory: bytes; 0 is no limit.
    """

    cpu: float = 0.0
    memory: int = 0

    @property
    def controllers(self) -> tuple[str, ...]:
        """The controllers that are needed."""
        wanted = {"cpu": self.cpu, "memory": self.memory}
        return tuple(name for name, limit in wanted.items() if limit)


class Fence(ABC):
    """Puts workspaces into control groups of their own."""

    @abstractmethod
    def command(self, slug: str, object_uid: str) -> Sequence[str]:
        """Return the words before a workspace's command, with the limits set.

        Raises:
            OSError: they cannot be.
        """

    @abstractmethod
    def remove(self, slug: str) -> None:
        """Take away what is left of it, after the last process has ended."""


class NoFence(Fence):
    """No limits."""

    def command(self, slug: str, object_uid: str) -> Sequence[str]:
        """Return nothing."""
        return ()

    def remove(self, slug: str) -> None:
        """Nothing is left."""


class SystemdFence(Fence):
    """Scopes of systemd's: the system's for root, else those of the account's own manager."""

    def __init__(self, limits: Limits) -> None:
        program = shutil.which("systemd-run") or "systemd-run"
        self._before = [program]
        if os.geteuid() != 0:
            runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
            self._before = ["/usr/bin/env", f"XDG_RUNTIME_DIR={runtime}", program, "--user"]
        self._before += ["--scope", "--quiet", "--collect"]
        self._properties: list[str] = []
        if limits.cpu:
            self._properties.append(f"--property=CPUQuota={math.ceil(limits.cpu * 100)}%")
        if limits.memory:
            self._properties.append(f"--property=MemoryMax={limits.memory}")

    def command(self, slug: str, object_uid: str) -> Sequence[str]:
        """Return the call of systemd-run, which becomes the command when the scope is there."""
        unit = f"--unit=kworkspace-{slug}-{object_uid}"
        return [*self._before, unit, *self._properties, "--"]

    def check(self) -> str:
        """Return why scopes cannot be had, "" if they can."""
        command = [*self._before, *self._properties, "--", "true"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if done.returncode == 0 else " ".join(done.stderr.split())

    def remove(self, slug: str) -> None:
        """Nothing is left: a scope ends with its last process."""


class FileFence(Fence):
    """Control groups made by hand, below the hub's own.

    Args:
        limits: for each workspace.
        bases: by controller, the directory of the hub's control group; one for all of version 2.
        unified: whether that is version 2.
        name: begins the groups' names; of this hub alone.
    """

    def __init__(
        self, limits: Limits, bases: Mapping[str, Path], *, unified: bool, name: str
    ) -> None:
        self._bases = bases
        self._name = name
        self._values = _version_2(limits) if unified else _version_1(limits)
        if unified:
            base = next(iter(bases.values()))
            wanted = " ".join(f"+{controller}" for controller in limits.controllers)
            (base / "cgroup.subtree_control").write_text(wanted)

    def _groups(self, slug: str) -> list[Path]:
        return sorted({base / f"{self._name}-{slug}" for base in self._bases.values()})

    def command(self, slug: str, object_uid: str) -> Sequence[str]:
        """Make the groups and return a shell that enters them and becomes the command."""
        groups = self._groups(slug)
        for group in groups:
            group.mkdir(exist_ok=True)
        for controller, values in self._values.items():
            group = self._bases[controller] / f"{self._name}-{slug}"
            for file, value in values.items():
                (group / file).write_text(value)
        return ["/bin/sh", "-c", _JOIN, "sh", *(f"{group}/cgroup.procs" for group in groups), "--"]

    def remove(self, slug: str) -> None:
        """Remove the groups, which are empty by now, or will be at the next end."""
        for group in self._groups(slug):
            with suppress(OSError):
                group.rmdir()


def _version_2(limits: Limits) -> dict[str, dict[str, str]]:
    quota = f"{math.ceil(limits.cpu * PERIOD_MICROSECONDS)} {PERIOD_MICROSECONDS}"
    values = {"cpu": {"cpu.max": quota}, "memory": {"memory.max": str(limits.memory)}}
    return {controller: values[controller] for controller in limits.controllers}


def _version_1(limits: Limits) -> dict[str, dict[str, str]]:
    quota = str(math.ceil(limits.cpu * PERIOD_MICROSECONDS))
    values = {
        "cpu": {"cpu.cfs_period_us": str(PERIOD_MICROSECONDS), "cpu.cfs_quota_us": quota},
        "memory": {"memory.limit_in_bytes": str(limits.memory)},
    }
    return {controller: values[controller] for controller in limits.controllers}


def find_fence(limits: Limits, hub_id: str) -> Fence:
    """Return what sets these limits on this machine, tried out.

    Raises:
        KworkspaceError: nothing does; one line says why and what to do.
    """
    if not limits.controllers:
        return NoFence()
    if SYSTEMD.is_dir():
        scopes = SystemdFence(limits)
        if problem := scopes.check():
            raise _impossible(f"systemd gives no scope: {problem}")
        return scopes
    name = f"kworkspace-{hub_id[:8]}"
    try:
        bases, unified = _bases(limits)
        fence = FileFence(limits, bases, unified=unified, name=name)
        fence.command("try", "")
        fence.remove("try")
    except OSError as error:
        raise _impossible(f"{error.filename}: {error.strerror}") from error
    return fence


def _bases(limits: Limits) -> tuple[dict[str, Path], bool]:
    """Return the directory of this process's control group by controller, and whether version 2.

    Raises:
        FileNotFoundError: a controller is nowhere.
    """
    first: dict[str, Path] = {}
    second: Path | None = None
    of_ours = dict(line.split(":", 2)[1:] for line in MEMBERSHIP.read_text().splitlines())
    for line in MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        (root, mount), (kind, _, options) = before.split()[3:5], after.split()[:3]
        if kind == "cgroup2":
            second = _below(mount, root, of_ours.get("", "/"))
        elif kind == "cgroup":
            for names, path in of_ours.items():
                if set(names.split(",")) <= set(options.split(",")):
                    base = _below(mount, root, path)
                    first |= dict.fromkeys(names.split(","), base)
    wanted = limits.controllers
    if all(name in first for name in wanted):
        return {name: first[name] for name in wanted}, False
    if second is not None:
        offered = (second / "cgroup.controllers").read_text().split()
        if set(wanted) <= set(offered):
            return dict.fromkeys(wanted, second), True
    raise FileNotFoundError(
        errno.ENOENT, f"no control group with {' and '.join(wanted)}", "/sys/fs/cgroup"
    )


def _below(mount: str, root: str, path: str) -> Path:
    """Return where a control group is, of whose hierarchy perhaps only a part is mounted."""
    inside = path.removeprefix(root) if root != "/" else path
    return Path(mount) / inside.strip("/")


def _impossible(reason: str) -> KworkspaceError:
    return KworkspaceError(
        "c.LocalSpawner.cpu_limit and mem_limit cannot be kept on this machine"
        f" ({reason}): run the hub where systemd runs or with a control group that it may write"
        " (Delegate=yes), or set both to 0."
    )
