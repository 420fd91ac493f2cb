"""All objects of one kind in memory, as the cluster has them: kept true by one watch for all.

Reads cost nothing while the watch is fresh, and go to the API server while it is not. Who waits for
an object waits for its watch event: nothing here polls. The objects are shared, must not be changed
by who reads them, and have only what `shapes` names.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from kworkspace.spawners.kube.client import KubeClient, Object, Objects
from kworkspace.spawners.kube.errors import NotFoundInCluster
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.watches import OnFresh, Stats, WatchLoop

SERVER_LABEL = "kworkspace.io/server"
MOST_GONE = 4096

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""

Predicate = Callable[[Object | None], bool]
"""Whether an object is as somebody waits for it; None is one that does not exist."""

OnEvent = Callable[[str, Object, Object | None], None]
"""Called with ADDED, MODIFIED or DELETED, the object (the last known when it is DELETED), and what
it was before; also for what was found by listing. Another object of the same name comes as DELETED
and ADDED."""


class Reflector:
    """One kind's objects.

    Args:
        client: the cluster.
        kind: which.
        namespace: None for all.
        labels: a label selector.
        fields: a field selector.
        on_event: told of each change, in order, after it can be read here.
        indexed: labels that `by_label` is asked for often.
        on_fresh: told when the watch becomes stale, and when it is back.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        namespace: str | None,
        labels: str = "",
        on_event: OnEvent | None = None,
        *,
        fields: str = "",
        indexed: Sequence[str] = (SERVER_LABEL,),
        on_fresh: OnFresh | None = None,
    ) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._on_event = on_event
        self._objects: dict[Key, Object] = {}
        self._index: dict[str, dict[str, set[Key]]] = {label: {} for label in indexed}
        self._waiting: dict[Key, list[tuple[Predicate, asyncio.Future[Object | None]]]] = {}
        self._floor = 0
        self._gone: dict[Key, int] = {}
        self._loop = WatchLoop(
            client,
            kind,
            namespace,
            labels=labels,
            fields=fields,
            sink=self,
            on_fresh=on_fresh,
        )

    async def start(self) -> None:
        """Return when all that there is has been read, and the watch goes on from there.

        Raises:
            ApiError: it cannot be read.
        """
        await self._loop.start()

    async def aclose(self) -> None:
        """Stop watching; who waits is cancelled."""
        await self._loop.aclose()
        for _predicate, future in [each for group in self._waiting.values() for each in group]:
            future.cancel()

    @property
    def fresh(self) -> bool:
        """Whether what is here is what the cluster has, give or take milliseconds."""
        return self._loop.fresh

    @property
    def stats(self) -> Stats:
        """What the watch has been through."""
        return self._loop.stats

    # -- reading ---------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object as last heard of."""
        return self._objects.get((namespace, name))

    def values(self) -> Iterable[Object]:
        """Return all objects as last heard of."""
        return list(self._objects.values())

    def by_label(self, label: str, value: str) -> list[Object]:
        """Return the objects that bear a label, as last heard of."""
        if (index := self._index.get(label)) is not None:
            return [self._objects[key] for key in sorted(index.get(value, ()))]
        return [object for object in self._objects.values() if _label(object, label) == value]

    async def read(self, namespace: str, name: str) -> Object | None:
        """Return an object: from here while the watch is fresh, else of the API server.

        Raises:
            ApiError: the API server was asked, and did not say.
        """
        if self.fresh:
            return self.get(namespace, name)
        try:
            return await self._client.get(self._kind, namespace, name)
        except NotFoundInCluster:
            return None

    async def read_all(self, labels: str = "") -> list[Object]:
        """Return all objects: from here while the watch is fresh, else of the API server.

        Args:
            labels: `LABEL=VALUE` that they bear, on top of the reflector's own selector.

        Raises:
            ApiError: the API server was asked, and did not say.
        """
        if self.fresh:
            if not labels:
                return list(self._objects.values())
            label, _, value = labels.partition("=")
            return self.by_label(label, value)
        selector = ",".join(part for part in (self._labels, labels) if part)
        listed = await self._client.list(
            self._kind, self._namespace, labels=selector, fields=self._fields
        )
        return listed.items

    async def changed(self, key: Key, predicate: Predicate) -> Object | None:
        """Wait until an object is as the predicate wants it, and return it; None if it is gone.

        It has no time limit of its own. What the predicate raises is raised here.
        """
        now = self._objects.get(key)
        if predicate(now):
            return now
        future: asyncio.Future[Object | None] = asyncio.get_running_loop().create_future()
        entry = (predicate, future)
        self._waiting.setdefault(key, []).append(entry)
        try:
            return await future
        finally:
            group = self._waiting[key]
            group.remove(entry)
            if not group:
                del self._waiting[key]

    # -- what the watch tells --------------------------------------------------------------------

    def replace(self, listed: Objects) -> None:
        """Take a list for all that there is."""
        found = {_key(object): object for object in listed.items}
        for key in self._objects.keys() - found.keys():
            self._remove(key, self._objects[key])
        for key, object in found.items():
            before = self._objects.get(key)
            if before is None or _is_other(before, object):
                self._put(key, object)
        self._floor = _number(listed.resource_version)
        self._gone.clear()

    def merge(self, listed: Objects) -> None:
        """Correct what was missed, with a list that is older than the latest events."""
        floor = _number(listed.resource_version)
        found = {_key(object): object for object in listed.items}
        for key in self._objects.keys() - found.keys():
            if _version(self._objects[key]) <= floor:
                self._remove(key, self._objects[key])
        for key, object in found.items():
            before, version = self._objects.get(key), _version(object)
            if before is None:
                if self._gone.get(key, 0) < version:
                    self._put(key, object)
            elif _version(before) < version:
                self._put(key, object)
        self._floor = max(self._floor, floor)
        self._gone = {key: version for key, version in self._gone.items() if version > floor}

    def apply(self, type: str, object: Object) -> None:
        """Take one event."""
        version = _version(object)
        if 0 < version <= self._floor:
            return  # the list that was merged knew it already
        key = _key(object)
        if type != "DELETED":
            self._put(key, object)
            return
        self._gone[key] = version
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]
        if key in self._objects:
            self._remove(key, object)

    def _put(self, key: Key, object: Object) -> None:
        before = self._objects.get(key)
        if before is not None and before["metadata"]["uid"] != object["metadata"]["uid"]:
            self._remove(key, before)
            before = None
        if before is not None:
            self._unindex(key, before)
        self._objects[key] = object
        for label, index in self._index.items():
            if value := _label(object, label):
                index.setdefault(value, set()).add(key)
        self._wake(key, object)
        self._tell("ADDED" if before is None else "MODIFIED", object, before)

    def _remove(self, key: Key, last: Object) -> None:
        before = self._objects.pop(key)
        self._unindex(key, before)
        self._wake(key, None)
        self._tell("DELETED", last, before)

    def _unindex(self, key: Key, object: Object) -> None:
        for label, index in self._index.items():
            value = _label(object, label)
            if value in index:
                index[value].discard(key)
                if not index[value]:
                    del index[value]

    def _wake(self, key: Key, object: Object | None) -> None:
        for predicate, future in tuple(self._waiting.get(key, ())):
            if future.done():
                continue
            try:
                if predicate(object):
                    future.set_result(object)
            except Exception as error:  # noqa: BLE001  # it is the waiter's own
                future.set_exception(error)

    def _tell(self, type: str, object: Object, before: Object | None) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(type, object, before)
        except Exception:
            log.exception("What follows from a change of %s failed", self._kind.value.plural)


def _key(object: Object) -> Key:
    metadata = object["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _label(object: Object, label: str) -> str:
    return str((object["metadata"].get("labels") or {}).get(label, ""))


def _version(object: Object) -> int:
    return _number(object["metadata"].get("resourceVersion", ""))


def _number(version: str) -> int:
    """Return a resource version as what it is compared by (KEP-5504), 0 if it is no number."""
    return int(version) if version.isdecimal() else 0


def _is_other(before: Object, object: Object) -> bool:
    return bool(
        before["metadata"].get("resourceVersion") != object["metadata"].get("resourceVersion")
    )
