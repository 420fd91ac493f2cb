"""A pod's volumes as directories of this machine, with the owners and modes that a kubelet gives.

Secrets and ConfigMaps are written as the kubelet's atomic writer does: `NAME -> ..data/NAME` and
`..data -> ..TIMESTAMP`, so that a change swaps one link and readers see all of it or nothing.
"""

import base64
import itertools
import os
import shutil
import stat
from pathlib import Path

from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store

_serial = itertools.count(1)


class Volumes:
    """The volumes of one pod.

    Args:
        root: where those are that end with the pod.
        claims: where the claims' are, which stay.
    """

    def __init__(self, pod: Object, store: Store, *, root: Path, claims: Path) -> None:
        self._pod = pod
        self._store = store
        self._root = root
        self._claims = claims
        self._namespace: str = pod["metadata"]["namespace"]
        self._group: int | None = dig(pod, "spec", "securityContext", "fsGroup")

    def prepare(self) -> None:
        """Make all that is not there yet."""
        for volume in dig(self._pod, "spec", "volumes", default=[]):
            self._make(volume)

    def path(self, name: str) -> Path:
        """Return a volume's directory."""
        for volume in dig(self._pod, "spec", "volumes", default=[]):
            claim = dig(volume, "persistentVolumeClaim", "claimName")
            if volume["name"] == name and claim:
                return self._claims / self._namespace / str(claim)
            if volume["name"] == name and "hostPath" in volume:
                return Path(volume["hostPath"]["path"])
        return self._root / name

    def _make(self, volume: Object) -> None:
        path = self.path(volume["name"])
        if "hostPath" in volume or path.exists():
            return
        path.mkdir(parents=True)
        if "persistentVolumeClaim" in volume:
            path.chmod(0o755)
            self._share(path)
        elif "emptyDir" in volume:
            path.chmod(0o1777 if volume["emptyDir"].get("medium") == "Memory" else 0o777)
            self._share(path)
        else:
            path.chmod(0o1777)
            self._write(volume)

    def refresh(self) -> None:
        """Bring Secrets and ConfigMaps up to date."""
        for volume in dig(self._pod, "spec", "volumes", default=[]):
            if {"secret", "configMap"} & set(volume) and self.path(volume["name"]).exists():
                self._write(volume)

    def _write(self, volume: Object) -> None:
        """Write what the volume holds now, if that is not what stands there."""
        wanted = self._payload(volume)
        path = self.path(volume["name"])
        link = path / "..data"
        if link.is_symlink() and self._stands(link.resolve(), wanted):
            return
        fresh = path / f"..{next(_serial):010d}"
        fresh.mkdir(mode=0o755)
        for name, (text, mode) in wanted.items():
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
            self._guard(file, mode)
        self._guard(fresh, 0o755)
        old = link.resolve() if link.is_symlink() else None
        swap = path / "..data_tmp"
        swap.symlink_to(fresh.name)
        swap.rename(link)
        tops = {Path(name).parts[0] for name in wanted}
        for top in tops:
            if not (path / top).is_symlink():
                (path / top).symlink_to(f"..data/{top}")
        for entry in path.iterdir():
            if not entry.name.startswith("..") and entry.name not in tops:
                entry.unlink()
        if old is not None:
            shutil.rmtree(old)

    @staticmethod
    def _stands(directory: Path, wanted: dict[str, tuple[bytes, int]]) -> bool:
        have = {
            str(file.relative_to(directory)): file.read_bytes()
            for file in directory.rglob("*")
            if file.is_file()
        }
        return have == {name: text for name, (text, _) in wanted.items()}

    def _payload(self, volume: Object) -> dict[str, tuple[bytes, int]]:
        """What files a Secret or ConfigMap volume has, and their modes."""
        for kind, plural, key in (
            ("secret", "secrets", "secretName"),
            ("configMap", "configmaps", "name"),
        ):
            if source := volume.get(kind):
                found = self._store.get(plural, self._namespace, source[key])
                return _files(source, contents(found, secret=kind == "secret"))
        return {}

    def _guard(self, path: Path, mode: int) -> None:
        """Set mode and owner of what is only read; a pod's fsGroup may read it."""
        if self._group is not None:
            os.chown(path, -1, self._group)
            mode |= 0o2550 if path.is_dir() else 0o440
        path.chmod(mode)

    def _share(self, path: Path) -> None:
        """Give a volume to the pod's fsGroup, all that is in it included."""
        if self._group is None:
            return
        for entry in (path, *path.rglob("*")):
            if entry.is_symlink():
                continue
            os.chown(entry, -1, self._group)
            mode = stat.S_IMODE(entry.stat().st_mode)
            entry.chmod(mode | (0o2770 if entry.is_dir() else 0o660))

    def remove(self) -> None:
        """Take away what ends with the pod."""
        shutil.rmtree(self._root, ignore_errors=True)


def contents(thing: Object | None, *, secret: bool) -> dict[str, bytes]:
    """Return what a Secret or a ConfigMap holds."""
    pairs = dig(thing, "data", default={}).items()
    if secret:
        return {key: base64.b64decode(text) for key, text in pairs}
    return {key: text.encode() for key, text in pairs}


def _files(source: Object, found: dict[str, bytes]) -> dict[str, tuple[bytes, int]]:
    mode = source.get("defaultMode", 0o644)
    if items := source.get("items"):
        return {
            item["path"]: (found[item["key"]], item.get("mode", mode))
            for item in items
            if item["key"] in found
        }
    return {name: (text, mode) for name, text in found.items()}
