"""What the cluster tells of pods (core/v1 Events), by the pod's uid, a bounded number of them.

Events of long ago are not read: a namespace has many, and only starts that are under way need them;
`load` reads one pod's. Nothing is decided here.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable

from kworkspace.spawners.kube.client import KubeClient, Object, Objects
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.watches import OnFresh, Stats, WatchLoop

EVENTS_A_POD = 64
PODS = 4096

log = logging.getLogger(__name__)


class PodEvents:
    """The events of all pods.

    Args:
        client: the cluster.
        namespace: None for all.
        on_event: called with the pod's uid and the event; one that happens again comes again,
            with a higher count.
        on_fresh: told when the watch becomes stale, and when it is back.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str | None,
        on_event: Callable[[str, Object], None] | None = None,
        *,
        on_fresh: OnFresh | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._on_event = on_event
        self._pods: OrderedDict[str, OrderedDict[str, Object]] = OrderedDict()
        self._loop = WatchLoop(
            client,
            Kind.EVENT,
            namespace,
            fields="involvedObject.kind=Pod",
            sink=self,
            history=False,
            on_fresh=on_fresh,
        )

    async def start(self) -> None:
        """Watch from now on.

        Raises:
            ApiError: the cluster does not allow it.
        """
        await self._loop.start()

    async def aclose(self) -> None:
        """Stop watching."""
        await self._loop.aclose()

    @property
    def fresh(self) -> bool:
        """Whether events come in."""
        return self._loop.fresh

    @property
    def stats(self) -> Stats:
        """What the watch has been through."""
        return self._loop.stats

    def of(self, uid: str) -> list[Object]:
        """Return a pod's events, those that came last at the end."""
        return list(self._pods.get(uid, {}).values())

    async def load(self, namespace: str, uid: str) -> list[Object]:
        """Read all that the cluster still knows of one pod, and return its events.

        Raises:
            ApiError: the cluster did not say.
        """
        listed = await self._client.list(
            Kind.EVENT, namespace, fields=f"involvedObject.uid={uid}", limit=EVENTS_A_POD
        )
        known = self._pods.get(uid, OrderedDict())
        for event in sorted(listed.items, key=_last_seen):
            if event["metadata"]["name"] not in known:
                self._keep(uid, event)
        return self.of(uid)

    def forget(self, uid: str) -> None:
        """Drop a pod's events, as when it is gone."""
        self._pods.pop(uid, None)

    # -- what the watch tells --------------------------------------------------------------------

    def replace(self, listed: Objects) -> None:
        """Not called: nothing is listed."""

    def merge(self, listed: Objects) -> None:
        """Not called: nothing is listed."""

    def apply(self, type: str, event: Object) -> None:
        """Take one event; that the cluster forgets one changes nothing."""
        if type == "DELETED":
            return
        uid = str((event.get("involvedObject") or {}).get("uid", ""))
        self._keep(uid, event)
        if self._on_event is not None:
            try:
                self._on_event(uid, event)
            except Exception:
                log.exception("What follows from an event of a pod failed")

    def _keep(self, uid: str, event: Object) -> None:
        events = self._pods.setdefault(uid, OrderedDict())
        self._pods.move_to_end(uid)
        name = event["metadata"]["name"]
        events[name] = event
        events.move_to_end(name)
        if len(events) > EVENTS_A_POD:
            events.popitem(last=False)
        if len(self._pods) > PODS:
            self._pods.popitem(last=False)


def _last_seen(event: Object) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
