"""Objects of the cluster as plain dicts: copies, times, quantities.

What the store holds is never changed in place: who wants to change an object clones it first.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Object = dict[str, Any]

_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def clone(value: Any) -> Any:
    """Return a deep copy of what JSON can hold."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def opened(thing: Object) -> Object:
    """Return a copy of an object whose metadata, spec and status can be set key by key.

    What stands below those keys is still shared: for changes that replace it, at a tenth of the
    price of a clone.
    """
    found = dict(thing)
    for key in ("metadata", "spec", "status"):
        if key in found:
            found[key] = dict(found[key])
    return found


def dig(value: Any, *path: str | int, default: Any = None) -> Any:
    """Return what stands at a path of keys and indices, or the default."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return default
    return default if value is None else value


def now(seconds: float = 0.0) -> str:
    """Return this moment, or one that many seconds from it, as Kubernetes writes times."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """Return this moment with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_uid() -> str:
    """Return a new object's uid."""
    return str(uuid.uuid4())


def quantity(text: Any) -> Decimal:
    """Return a quantity's value.

    Raises:
        ValueError: it is none.
    """
    word = str(text)
    digits = word.rstrip("numkKMGTPEi")
    suffix = word[len(digits) :]
    if "e" in digits.lower() or suffix not in _SUFFIXES:
        if suffix:
            raise ValueError(word)
        digits = word
    try:
        return Decimal(digits) * _SUFFIXES[suffix]
    except ArithmeticError:
        raise ValueError(word) from None


def shown(value: Decimal, like: str = "") -> str:
    """Return a quantity as Kubernetes shows it, in the units of another one."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if like.endswith("i") and value and value % _SUFFIXES[suffix] == 0:
            return f"{int(value / _SUFFIXES[suffix])}{suffix}"
    if value == value.to_integral_value():
        return str(int(value))
    return f"{int(value * 1000)}m"


def containers(pod: Object, *, init: bool = False) -> list[Object]:
    """Return a pod's containers, or its init containers."""
    found: list[Object] = dig(pod, "spec", "initContainers" if init else "containers", default=[])
    return found


def claim_names(pod: Object) -> Iterator[str]:
    """Yield the names of the claims that a pod uses."""
    for volume in dig(pod, "spec", "volumes", default=[]):
        if name := dig(volume, "persistentVolumeClaim", "claimName"):
            yield name


def is_finished(pod: Object) -> bool:
    """Whether nothing of the pod runs or will run again."""
    return dig(pod, "status", "phase") in {"Succeeded", "Failed"}


def is_owned_by(thing: Object, uid: str) -> bool:
    """Whether an object names another one as its owner."""
    owners = dig(thing, "metadata", "ownerReferences", default=[])
    return any(owner["uid"] == uid for owner in owners)
