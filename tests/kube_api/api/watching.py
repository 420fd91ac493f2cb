"""Watches: from a version or from now on, with selectors, bookmarks and an end.

A watch sees a stream of its own: an object that begins to match its selectors is ADDED, one that
no longer does is DELETED, as it was before.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator

import msgspec

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.selectors import Predicate, both
from tests.kube_api.api.statuses import Refusal, expired
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object
from tests.kube_api.store import Change, Store

_encode = msgspec.json.Encoder().encode
_BOOKMARK_SECONDS = 60.0
_BEFORE_END_SECONDS = 2.0
_DEFAULT_SECONDS = 1800.0
_MANY = 256

_EMPTY: dict[str, Object] = {
    "pods": {"spec": {"containers": None}, "status": {}},
    "persistentvolumeclaims": {"spec": {"resources": {}}, "status": {}},
    "services": {"spec": {}, "status": {"loadBalancer": {}}},
    "jobs": {
        "spec": {"template": {"metadata": {}, "spec": {"containers": None}}},
        "status": {},
    },
    "events": {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
    "namespaces": {"spec": {}, "status": {}},
    "nodes": {"spec": {}, "status": {}},
}


def bookmark(resource: Resource, revision: int, *, initial: bool = False) -> bytes:
    """Return a BOOKMARK's line."""
    metadata: Object = {"resourceVersion": str(revision)}
    if initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    thing = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return _line("BOOKMARK", _encode(thing | _EMPTY.get(resource.plural, {})))


def error(refusal: Refusal) -> bytes:
    """Return an ERROR event's line."""
    return _line("ERROR", _encode(refusal.body()))


def too_old(revision: int, oldest: int) -> Refusal:
    """410 as a watch hears it."""
    return expired(f"too old resource version: {revision} ({oldest})")


def _line(type: str, encoded: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (type.encode(), encoded)


class Watch:
    """One client's watch; the server writes what `lines` yields.

    Raises:
        Refusal: 400, a selector does not parse.
    """

    def __init__(self, ask: Ask, store: Store) -> None:
        self.ask = ask
        self.is_ended = False
        self._store = store
        self._namespace = ask.namespace
        self._matches: Predicate | None = both(
            ask.resource,
            ask.query.get("labelSelector", ""),
            ask.query.get("fieldSelector", ""),
        )
        self._bookmarks = ask.flag("allowWatchBookmarks")
        self._lines: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._seen = 0
        seconds = ask.number("timeoutSeconds")
        loop = asyncio.get_running_loop()
        self._end = loop.time() + (seconds or _DEFAULT_SECONDS)
        self._next_bookmark = loop.time() + _BOOKMARK_SECONDS

    def begin(self) -> None:
        """Queue what happened before this moment, and follow what happens from now on."""
        text = self.ask.query.get("resourceVersion", "")
        revision = self.ask.number("resourceVersion")
        initial = self.ask.flag("sendInitialEvents")
        if text in {"", "0"} or initial:
            self._queue_all()
            if initial and self._bookmarks:
                self._push(bookmark(self.ask.resource, self._store.revision, initial=True))
        elif revision < self._store.compacted:
            self._push(error(too_old(revision, self._store.compacted)))
            self.end()
            return
        else:
            for change in self._store.since(revision):
                self.see(change)
        self._seen = self._store.revision
        self._store.listeners.append(self.see)

    def _queue_all(self) -> None:
        for thing in self._store.values(self.ask.resource, self._namespace):
            if self._matches is None or self._matches(thing):
                self._push(_line("ADDED", _encode(thing)))

    def see(self, change: Change) -> None:
        """Queue a change if it is one for this watch."""
        if change.resource is not self.ask.resource:
            return
        if self._namespace and change.key[0] != self._namespace:
            return
        if self.ask.name and change.key[1] != self.ask.name:
            return
        had = change.old is not None and self._passes(change.old)
        has = not change.deleted and self._passes(change.new)
        if has:
            self._push(_line("MODIFIED" if had else "ADDED", change.encoded))
        elif had and change.deleted:
            self._push(_line("DELETED", change.encoded))
        elif had:
            assert change.old is not None
            metadata = change.old["metadata"] | {"resourceVersion": str(change.revision)}
            self._push(_line("DELETED", _encode(change.old | {"metadata": metadata})))

    def _passes(self, thing: Object) -> bool:
        return self._matches is None or self._matches(thing)

    def _push(self, line: bytes) -> None:
        self._lines.append(line)
        self._wake.set()

    def end(self) -> None:
        """Let the stream end after what is queued."""
        self.is_ended = True
        self._wake.set()

    def mark(self) -> None:
        """Queue a bookmark now, if the client wants any."""
        if self._bookmarks:
            self._push(bookmark(self.ask.resource, self._store.revision))

    def close(self) -> None:
        """Follow no longer."""
        with contextlib.suppress(ValueError):
            self._store.listeners.remove(self.see)

    def take(self) -> list[bytes]:
        """Return what is queued, not too much at once."""
        return [self._lines.popleft() for _ in range(min(len(self._lines), _MANY))]

    async def wait(self) -> bool:
        """Wait until something is queued; False when the watch has ended."""
        loop = asyncio.get_running_loop()
        while not self._lines:
            if self.is_ended or loop.time() >= self._end:
                return False
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._times())):
                    await self._wake.wait()
            if self._bookmarks and loop.time() >= self._next_bookmark:
                self._next_bookmark = loop.time() + _BOOKMARK_SECONDS
                self.mark()
            elif self._bookmarks and self._before_end <= loop.time() < self._end:
                self._marked_end = True
                self.mark()
        return True

    _marked_end = False

    @property
    def _before_end(self) -> float:
        return self._end if self._marked_end else self._end - _BEFORE_END_SECONDS

    def _times(self) -> Iterator[float]:
        """When to look up although nothing is queued."""
        yield self._end
        if self._bookmarks:
            yield self._next_bookmark
            yield self._before_end
