"""One start: from nothing, or from whatever an earlier one has left, to a pod that answers.

Whoever waits for the same workspace shares it. It ends with the pod running, or with nothing of
its own left; cancelled by a stop, it leaves to that what there is.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from traitlets import TraitError

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.base import ProgressSink, Running, Workspace
from kworkspace.spawners.kube.endings import one_line
from kworkspace.spawners.kube.errors import ApiError
from kworkspace.spawners.kube.found import running_of
from kworkspace.spawners.kube.making import Making, Parts
from kworkspace.spawners.kube.names import Names
from kworkspace.spawners.kube.refusals import explain, passes
from kworkspace.spawners.kube.waiting import Waiting

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

T = TypeVar("T")

log = logging.getLogger(__name__)

FIRST_PAUSE, MOST_PAUSE = 0.5, 5.0  # while the API server does not answer


class Start:
    """A start under way.

    Args:
        parts: what it works with.
        workspace: what to start.
        names: what its objects are called.
        choose: returns the options that count for it, or raises why there are none.
    """

    def __init__(
        self,
        parts: Parts,
        workspace: Workspace,
        names: Names,
        choose: Callable[[], Awaitable["KubeSpawnerOptions"]],
    ) -> None:
        self._parts = parts
        self._workspace = workspace
        self._names = names
        self._choose = choose
        self._sinks: list[ProgressSink] = []
        self._last = (0, "")
        self.image = ""

    @contextlib.contextmanager
    def listening(self, sink: ProgressSink) -> Iterator[None]:
        """Tell one more what it is at, beginning with what was told last."""
        if self._last[1]:
            sink(*self._last)
        self._sinks.append(sink)
        try:
            yield
        finally:
            self._sinks.remove(sink)

    def _tell(self, percent: int, message: str) -> None:
        if (percent, message) != self._last:
            self._last = (percent, message)
            for sink in list(self._sinks):
                sink(percent, message)

    async def run(self) -> Running:
        """Bring it up; `image` is then known, if it came so far.

        Raises:
            StartFailed: with the reason. Nothing that was made for it is left.
        """
        try:
            options = await self._choose()
        except Exception as error:
            raise self._failure(error) from error
        self.image = options.image
        making = Making(
            self._parts,
            options=options,
            workspace=self._workspace,
            names=self._names,
            tell=self._tell,
        )
        limit = asyncio.timeout(options.start_timeout)
        waiting = Waiting(
            client=self._parts.client,
            view=self._parts.view,
            options=options,
            limit=limit,
            tasks=self._parts.tasks,
            tell=self._tell,
        )
        try:
            async with limit:
                return await self._bring_up(options, making, waiting)
        except Exception as error:
            late = isinstance(error, TimeoutError) and limit.expired()
            failure = self._late(options.start_timeout) if late else self._failure(error)
            await self._take_away(making, ran=waiting.ran)
            raise failure from error

    def _failure(self, error: Exception) -> StartFailed:
        """Return what to tell the person who waits."""
        if isinstance(error, ApiError):
            return StartFailed(explain(error))
        if isinstance(error, KworkspaceError):
            return StartFailed(error.message)
        if isinstance(error, TraitError):  # of a value that a callable of the configuration gave
            return StartFailed(one_line(str(error)))
        log.error("The start of %s failed", self._workspace.slug, exc_info=error)
        return StartFailed(
            f"an unexpected error ({type(error).__name__}); an admin finds it in the log"
        )

    def _late(self, seconds: int) -> StartFailed:
        at = f". The last that was seen: {self._last[1]}" if self._last[1] else ""
        return StartFailed(f"it was not ready after {seconds} s (c.KubeSpawner.start_timeout){at}")

    async def _bring_up(
        self, options: "KubeSpawnerOptions", making: Making, waiting: Waiting
    ) -> Running:
        pod = await self._persist(making.adopt)
        if pod is None:
            await self._persist(making.ensure)
            manifest = await making.manifest()
            pod = await self._persist(lambda: making.create(manifest))
            await making.created()
        return running_of(options, await waiting.ready(pod))

    async def _take_away(self, making: Making, *, ran: bool) -> None:
        try:
            await making.take_away(ran=ran)
        except KworkspaceError as error:
            # The failure itself is what counts; the hub's stop sees to what is left.
            log.warning("What was begun for %s is left: %s", self._workspace.slug, error.message)

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do a step again for as long as the API server does not answer."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await work()
            except ApiError as error:
                if not passes(error):
                    raise
                self._tell(self._last[0], "The cluster does not answer; trying again")
                log.warning("The start of %s waits: %s", self._workspace.slug, error.message)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
            pause = min(pause * 2, MOST_PAUSE)
