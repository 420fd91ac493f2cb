"""What the watches show of this hub's pods, claims and events, and who waits for their changes.

One for the whole spawner. Reads are answered from memory while the watches are fresh, else by the
API server. It changes nothing in the cluster; it tells `on_pod` of every change of a pod.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kworkspace.spawners.base import Watch
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.errors import ApiError
from kworkspace.spawners.kube.found import COMPONENT, COMPONENT_LABEL, SERVER_LABEL, server_of
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.pod_events import PodEvents
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.reflector import Reflector

log = logging.getLogger(__name__)


class View:
    """Watches.

    Args:
        client: to the API server.
        namespace: of the workspaces; None if each user has one.
        selector: labels of what is this hub's.
        on_pod: called with (whether it is gone, the pod as it was last seen).
    """

    def __init__(
        self,
        *,
        client: KubeClient,
        namespace: str | None,
        selector: str,
        on_pod: Callable[[bool, Object], None],
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._selector = f"{selector},{COMPONENT_LABEL}={COMPONENT}"
        self._on_pod = on_pod
        self._signals: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._leaving: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._nodes: dict[str, str] = {}
        self._servers: dict[str, str] = {}
        self._pods = Reflector(client, Kind.POD, namespace, self._selector, self._pod_changed)
        self._claims = Reflector(client, Kind.CLAIM, namespace, selector, self._claim_changed)
        self._events = PodEvents(client, namespace, self._event_came)

    async def open(self) -> None:
        """Begin to watch; return when all that there is is known.

        Raises:
            ApiError: the cluster does not allow it, or does not answer.
        """
        await asyncio.gather(self._claims.start(), self._events.start())
        await self._pods.start()

    async def aclose(self) -> None:
        """Stop watching."""
        for watch in (self._pods, self._claims, self._events):
            await watch.aclose()

    def watches(self) -> Sequence[Watch]:
        """Return how the watches do."""
        kinds: dict[str, Reflector | PodEvents] = {
            "pods": self._pods,
            "claims": self._claims,
            "events": self._events,
        }
        return [
            Watch(kind, loop.fresh, loop.stats.lists, loop.stats.breaks, loop.stats.expired)
            for kind, loop in kinds.items()
        ]

    # -- reading ---------------------------------------------------------------------------------

    async def pods(self) -> Sequence[Object]:
        """Return all pods of this hub.

        Raises:
            ApiError: the watch is stale, and the API server does not answer either.
        """
        return await self._pods.read_all()

    async def pods_of(self, server_id: str, namespace: str = "") -> Sequence[Object]:
        """Return the pods of one server; more than one only after a failure.

        Args:
            server_id: whose.
            namespace: where they have to be to be led to; "" for anywhere. Where users have
                namespaces of their own, they may make what bears another's labels in theirs.
        """
        return _within(await self._pods.read_all(f"{SERVER_LABEL}={server_id}"), namespace)

    async def surely_pods_of(self, server_id: str) -> Sequence[Object]:
        """Return the pods of one server as the API server has them at this moment."""
        labels = f"{self._selector},{SERVER_LABEL}={server_id}"
        return (await self._client.list(Kind.POD, self._namespace, labels=labels)).items

    async def claims(self) -> Sequence[Object]:
        """Return all claims of this hub."""
        return await self._claims.read_all()

    async def claims_of(self, server_id: str, namespace: str = "") -> Sequence[Object]:
        """Return the claims of one server, anywhere or in one namespace."""
        return _within(await self._claims.read_all(f"{SERVER_LABEL}={server_id}"), namespace)

    def seen(self, pod: Object) -> Object | None:
        """Return a pod as the watch shows it, None if it does not show this very pod."""
        metadata = pod["metadata"]
        found = self._pods.get(metadata["namespace"], metadata["name"])
        return found if found is not None and pods.uid(found) == pods.uid(pod) else None

    def all_seen(self) -> Sequence[Object]:
        """Return all pods that the watch shows."""
        return list(self._pods.values())

    def events_of(self, pod: Object) -> Sequence[Object]:
        """Return the events about a pod that came by."""
        return self._events.of(pods.uid(pod))

    async def load_events(self, pod: Object) -> None:
        """Read the events about a pod that another process has made."""
        try:
            await self._events.load(pod["metadata"]["namespace"], pods.uid(pod))
        except ApiError as error:
            log.info("Events of %s are not known: %s", pod["metadata"]["name"], error.message)

    def last_node(self, server_id: str) -> str:
        """Return where a server's last pod ran, "" if that is not known."""
        return self._nodes.get(server_id, "")

    # -- waiting ---------------------------------------------------------------------------------

    @contextmanager
    def signal(self, server_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever a pod of a server, or what is said of it, changes."""
        with _registered(self._signals, server_id) as event:
            yield event

    @contextmanager
    def leaving(self, object: Object) -> Iterator[asyncio.Event]:
        """Give an event that is set when this very pod or claim is gone.

        For who is about to delete it: its end may be told before the deletion is answered.
        """
        with _registered(self._leaving, pods.uid(object)) as event:
            yield event

    # -- what the watches tell -------------------------------------------------------------------

    def _pod_changed(self, type: str, pod: Object, _before: Object | None) -> None:
        gone, server_id, uid = type == "DELETED", server_of(pod), pods.uid(pod)
        if node := pods.node(pod):
            self._nodes[server_id] = node
        self._servers[uid] = server_id
        if gone:
            del self._servers[uid]
            self._events.forget(uid)
            _set(self._leaving, uid)
        self._on_pod(gone, pod)
        _set(self._signals, server_id)

    def _claim_changed(self, type: str, claim: Object, _before: Object | None) -> None:
        if type == "DELETED":
            _set(self._leaving, pods.uid(claim))

    def _event_came(self, uid: str, _event: Object) -> None:
        if (server_id := self._servers.get(uid)) is not None:
            _set(self._signals, server_id)


def _within(objects: Sequence[Object], namespace: str) -> Sequence[Object]:
    """Return what is in a namespace, the oldest first: a copy of a pod is not taken for it."""
    found = [one for one in objects if namespace in {"", one["metadata"]["namespace"]}]
    return sorted(found, key=pods.created)


@contextmanager
def _registered(waiting: dict[str, set[asyncio.Event]], key: str) -> Iterator[asyncio.Event]:
    event = asyncio.Event()
    waiting[key].add(event)
    try:
        yield event
    finally:
        waiting[key].discard(event)
        if not waiting[key]:
            del waiting[key]


def _set(waiting: dict[str, set[asyncio.Event]], key: str) -> None:
    for event in waiting.get(key, ()):
        event.set()
