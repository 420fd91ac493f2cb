"""What etcd is to a real API server: objects, one global revision, and a history of changes.

Everything is synchronous and in one thread, so that a check and the change that follows it are one
step. Objects that went in are never changed in place; listeners must not change the store while
they are called, but later (`loop.call_soon`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from tests.kube_api.kinds import Resource, named
from tests.kube_api.objects import Object, clone, is_owned_by, opened

Key = tuple[str, str]
"""Namespace ("" where there is none) and name."""

_encode = msgspec.json.Encoder().encode


@dataclass(eq=False)
class Change:
    """One revision.

    Attributes:
        old: the object before, None when it was created.
        new: the object after; when it was deleted, its last state with the deletion's revision.
    """

    revision: int
    resource: Resource
    key: Key
    old: Object | None
    new: Object
    deleted: bool = False

    @cached_property
    def encoded(self) -> bytes:
        """The object after, as JSON: made once for all watches."""
        return _encode(self.new)


class Store:
    """All objects of a cluster.

    Args:
        kept: how many changes are remembered; a watch from before them is too old.
    """

    def __init__(self, *, kept: int = 50_000) -> None:
        self.revision = 1
        self.compacted = 0
        self.listeners: list[Callable[[Change], None]] = []
        self.history: deque[Change] = deque()
        self._kept = kept
        self._objects: dict[Resource, dict[Key, Object]] = {}
        self._owned: dict[str, set[tuple[Resource, Key]]] = {}

    def get(self, resource: Resource | str, namespace: str, name: str) -> Object | None:
        """Return an object, not to be changed, or None."""
        return self._of(resource).get((namespace, name))

    def values(self, resource: Resource | str, namespace: str = "") -> list[Object]:
        """Return the objects of a namespace, or of all, in the order of their keys."""
        found = self._of(resource)
        return [found[key] for key in sorted(found) if not namespace or key[0] == namespace]

    def _of(self, resource: Resource | str) -> dict[Key, Object]:
        if isinstance(resource, str):
            resource = named(resource)
        return self._objects.setdefault(resource, {})

    def put(self, resource: Resource, thing: Object) -> Object:
        """Create or replace an object; the store owns it from now on."""
        metadata = thing["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        objects = self._of(resource)
        self._record(Change(self.revision, resource, key, objects.get(key), thing))
        objects[key] = thing
        for owner in metadata.get("ownerReferences", ()):
            self._owned.setdefault(owner["uid"], set()).add((resource, key))
        self._notify()
        return thing

    def edit(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], None]
    ) -> Object | None:
        """Change a copy of an object and store it if it differs; None if there is none."""
        old = self.get(resource, namespace, name)
        if old is None:
            return None
        new = clone(old)
        change(new)
        return old if new == old else self.put(resource, new)

    def replace(
        self, resource: Resource, namespace: str, name: str, change: Callable[[Object], None]
    ) -> Object | None:
        """As `edit`, for changes that set whole keys of metadata, spec and status (`opened`)."""
        old = self.get(resource, namespace, name)
        if old is None:
            return None
        new = opened(old)
        change(new)
        return old if new == old else self.put(resource, new)

    def remove(self, resource: Resource, namespace: str, name: str) -> Object:
        """Delete an object and return its last state."""
        key = (namespace, name)
        old = self._of(resource).pop(key)
        self.revision += 1
        new = old | {"metadata": old["metadata"] | {"resourceVersion": str(self.revision)}}
        self._record(Change(self.revision, resource, key, old, new, deleted=True))
        self._notify()
        return new

    def dependents(self, uid: str) -> list[tuple[Resource, Object]]:
        """Return the objects that name another one as their owner."""
        found = sorted(self._owned.get(uid, ()), key=lambda entry: (entry[0].plural, entry[1]))
        pairs = [(resource, self.get(resource, *key)) for resource, key in found]
        return [
            (resource, thing)
            for resource, thing in pairs
            if thing is not None and is_owned_by(thing, uid)
        ]

    def _record(self, change: Change) -> None:
        self.history.append(change)
        while len(self.history) > self._kept:
            self.compacted = self.history.popleft().revision

    def _notify(self) -> None:
        change = self.history[-1]
        for listener in tuple(self.listeners):
            listener(change)

    def compact(self) -> None:
        """Forget all history: what asks for a version before this moment is too late."""
        self.history.clear()
        self.compacted = self.revision

    def since(self, revision: int) -> Iterator[Change]:
        """Return the changes after a revision."""
        later: list[Change] = []
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            later.append(change)
        return reversed(later)

    def snapshot(self, resource: Resource, revision: int) -> dict[Key, Object]:
        """Return the objects as they were at a revision that is not compacted."""
        objects = dict(self._of(resource))
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            if change.resource is not resource:
                continue
            if change.old is None:
                objects.pop(change.key, None)
            else:
                objects[change.key] = change.old
        return objects
