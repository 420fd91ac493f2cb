"""Keeps one watch alive for ever: supervised, resumed where it broke, listed again only if it must.

A watch goes on from the last resource version that was heard of, also by bookmark. All is listed
anew when the server has forgotten that version (410), and now and then in the background, in case
something was missed after all. Used by `reflector` and `pod_events`, which keep what is told.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube.client import KubeClient, Object, Objects
from kworkspace.spawners.kube.errors import ApiError, Expired
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.shapes import shape

WATCH_SECONDS = (240, 360)
RECONCILE_SECONDS = (300.0, 600.0)
FIRST_PAUSE_SECONDS = 0.05
MOST_PAUSE_SECONDS = 1.0
GRACE_SECONDS = 1.0  # a watch that is resumed within this was not away
SHORT_SECONDS = 1.0

log = logging.getLogger(__name__)

OnFresh = Callable[[Kind, bool], None]
"""Called when a watch has become stale (False), and when it is back (True)."""


class Sink(Protocol):
    """Who keeps what a watch tells."""

    def replace(self, listed: Objects) -> None:
        """Take this for all that there is."""

    def merge(self, listed: Objects) -> None:
        """Correct what was missed: a list from about now, while events go on to come."""

    def apply(self, type: str, object: Object) -> None:
        """Take one event: ADDED, MODIFIED or DELETED."""


@dataclass(slots=True)
class Stats:
    """What a watch has been through, for metrics.

    Attributes:
        events: that it told.
        lists: how often all was listed.
        breaks: how often it broke, but for its planned ends.
        expired: how often its version was too old.
    """

    events: int = 0
    lists: int = 0
    breaks: int = 0
    expired: int = 0


class WatchLoop:
    """One watch.

    Args:
        client: the cluster.
        kind: what to watch.
        namespace: None for all.
        labels: a label selector.
        fields: a field selector.
        sink: who keeps it.
        history: whether what is there already is wanted; else it begins with what happens now.
        on_fresh: told when it becomes stale, and when it is back.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        sink: Sink,
        history: bool = True,
        on_fresh: OnFresh | None = None,
    ) -> None:
        self._client = client
        self._kind = kind
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._sink = sink
        self._history = history
        self._on_fresh = on_fresh
        self._tasks = Tasks()
        self._version: str | None = None
        self._pending_stale: asyncio.TimerHandle | None = None
        self._stale_since = 0.0
        self._cause = ""
        self.fresh = False
        self.stats = Stats()

    async def start(self) -> None:
        """List, and watch from there on.

        Raises:
            ApiError: the first list failed.
        """
        self._version = await self._list()
        self.fresh = True
        self._tasks.spawn(self._keep(), f"watch {self._kind.value.plural}")
        if self._history:
            self._tasks.spawn(self._reconcile(), f"reconcile {self._kind.value.plural}")

    async def aclose(self) -> None:
        """Stop watching."""
        await self._tasks.aclose()
        self._forget_pending()

    # -- the watch -------------------------------------------------------------------------------

    async def _keep(self) -> None:
        failures = 0
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                if self._version is None:
                    self._version = await self._list()
                await self._watch(self._version)
            except Expired:
                self._version = None
                self.stats.expired += 1
                self._broke("it was too far behind")
            except ApiError as error:
                self._broke(error.message)
            except Exception as error:  # a watch that has died in silence is worse than any error
                log.exception("The watch of %s failed", self._kind.value.plural)
                self._version = None
                self._broke(type(error).__name__)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._broke("it was cancelled from within")
            lasted = asyncio.get_running_loop().time() - begun
            failures = failures + 1 if lasted < SHORT_SECONDS else 0
            if failures:
                spread = random.uniform(0.5, 1.0)  # noqa: S311  # only to keep clients apart
                most = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), MOST_PAUSE_SECONDS)
                await asyncio.sleep(most * spread)

    async def _watch(self, version: str) -> None:
        events = self._client.watch(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            resource_version=version,
            seconds=random.randint(*WATCH_SECONDS),  # noqa: S311  # not all at once
            on_open=self._opened,
            shape=shape(self._kind),
        )
        async with aclosing(events):
            async for type, object in events:
                if type != "BOOKMARK":
                    self.stats.events += 1
                    self._sink.apply(type, object)
                self._version = object["metadata"]["resourceVersion"]

    async def _list(self) -> str:
        self.stats.lists += 1
        if not self._history:
            return await self._client.head(self._kind, self._namespace)
        listed = await self._listed()
        self._sink.replace(listed)
        return listed.resource_version

    async def _listed(self) -> Objects:
        return await self._client.list(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            shape=shape(self._kind),
        )

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*RECONCILE_SECONDS))  # noqa: S311  # not all at once
            if not self.fresh:
                continue
            try:
                self.stats.lists += 1
                self._sink.merge(await self._listed())
            except ApiError as error:
                log.info("%s were not compared: %s", self._kind.value.plural, error)
            except Exception:
                log.exception("%s were not compared", self._kind.value.plural)

    # -- freshness -------------------------------------------------------------------------------

    def _opened(self) -> None:
        self._forget_pending()
        if not self.fresh:
            self.fresh = True
            away = asyncio.get_running_loop().time() - self._stale_since
            log.info("The watch of %s is back after %.0f s", self._kind.value.plural, away)
            self._tell()

    def _broke(self, cause: str) -> None:
        self.stats.breaks += 1
        self._cause = cause
        if self.fresh and self._pending_stale is None:
            loop = asyncio.get_running_loop()
            self._stale_since = loop.time()
            self._pending_stale = loop.call_later(GRACE_SECONDS, self._stale)

    def _stale(self) -> None:
        self._pending_stale = None
        self.fresh = False
        log.warning(
            "The watch of %s is cut, so that each is asked of the API server: %s",
            self._kind.value.plural,
            self._cause,
        )
        self._tell()

    def _tell(self) -> None:
        if self._on_fresh is not None:
            self._on_fresh(self._kind, self.fresh)

    def _forget_pending(self) -> None:
        if self._pending_stale is not None:
            self._pending_stale.cancel()
            self._pending_stale = None
