"""Waits until a pod answers, tells what it is at meanwhile, and gives up when it never can.

Nothing is polled: the watch wakes it. A slow tick renews what is told ("(40 s)") and asks after a
pod that no watch has shown. Called by `starts`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kworkspace.cli.client.errors import StartFailed
from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.endings import last_line
from kworkspace.spawners.kube.errors import (
    ApiError,
    NotFoundInCluster,
)
from kworkspace.spawners.kube.found import server_of
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.progress import SETTING_UP, Report, Verdict, report
from kworkspace.spawners.kube.scheduling import place
from kworkspace.spawners.kube.view import View

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

log = logging.getLogger(__name__)

SAY_SECONDS = 0.2  # between two lines of a container that are told as they come
LOG_SECONDS = 5.0
LAST_LINES = 20  # the last may say nothing
FIRST_TICK, MOST_TICK = 3.0, 30.0


class Waiting:
    """The wait for one pod.

    Args:
        client: to the API server.
        view: what the watches show.
        options: the configuration.
        limit: the start's; the time in the queue for capacity does not count.
        tasks: owns what reads the container's log.
        tell: called with what it is at.
    """

    def __init__(
        self,
        *,
        client: KubeClient,
        view: View,
        options: "KubeSpawnerOptions",
        limit: asyncio.Timeout,
        tasks: Tasks,
        tell: Callable[[int, str], None],
    ) -> None:
        self._client = client
        self._view = view
        self._options = options
        self._limit = limit
        self._tell = tell
        self._tasks = tasks
        self._shown = False
        self._said = ""
        self._follower: asyncio.Task[None] | None = None
        self.ran = False

    async def ready(self, pod: Object) -> Object:
        """Return the pod when it answers; `ran` is then, or after a failure, whether it ever ran.

        Raises:
            StartFailed: it cannot any more.
        """
        with self._view.signal(server_of(pod)) as changed:
            try:
                return await self._until_ready(pod, changed)
            finally:
                if self._follower is not None:
                    self._follower.cancel()
                    await asyncio.wait([self._follower])

    async def _until_ready(self, pod: Object, changed: asyncio.Event) -> Object:
        tick, told = FIRST_TICK, ""
        while True:
            changed.clear()
            pod = self._now(pod)
            self.ran |= pods.state(pods.status_of(pod), "running") is not None
            how = self._report(pod)
            if how.verdict is Verdict.FAILED:
                raise StartFailed(await self._why(pod, how))
            self._tell(how.percent, how.message)
            if how.verdict is Verdict.READY:
                return pod
            self._extend(queued=how.verdict is Verdict.QUEUED)
            tick = FIRST_TICK if how.message != told else min(tick * 1.5, MOST_TICK)
            told = how.message
            try:
                async with asyncio.timeout(tick):
                    await changed.wait()
            except TimeoutError:
                if not self._shown:
                    pod = await self._ask(pod)
                elif self.ran and self._follower is None:
                    work = self._follow(pod, changed)
                    self._follower = self._tasks.spawn(work, f"log of {pod['metadata']['name']}")

    def _now(self, pod: Object) -> Object:
        """Return a pod as the watch shows it, or as it was made where that is not yet."""
        seen = self._view.seen(pod)
        if seen is not None:
            self._shown = True
            return seen
        if self._shown:
            raise StartFailed("its pod was deleted while it started")
        return pod

    async def _ask(self, pod: Object) -> Object:
        """Return a pod that no watch shows, as the API server has it."""
        metadata = pod["metadata"]
        try:
            found = await self._client.get(Kind.POD, metadata["namespace"], metadata["name"])
        except NotFoundInCluster:
            found = None
        except ApiError as error:
            log.debug("Pod %s cannot be looked for: %s", metadata["name"], error)
            return pod
        if found is None or pods.uid(found) != pods.uid(pod):
            raise StartFailed("its pod was deleted while it started")
        return found

    def _report(self, pod: Object) -> Report:
        how = report(
            pod,
            self._view.events_of(pod),
            now=datetime.now(UTC),
            last_node=self._view.last_node(server_of(pod)),
        )
        if how.percent == SETTING_UP and self._said:
            return replace(how, message=self._said)
        if how.verdict is Verdict.QUEUED and self._options.wait_for_capacity:
            mine, of = place(pod, self._view.all_seen())
            return replace(how, message=f"{how.message} (place {mine} of {of})")
        return how

    def _extend(self, *, queued: bool) -> None:
        """While it queues for capacity, its time does not run."""
        if not self._options.wait_for_capacity:
            return
        if queued:
            self._limit.reschedule(None)
        elif self._limit.when() is None:
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(now + self._options.start_timeout)

    async def _follow(self, pod: Object, changed: asyncio.Event) -> None:
        """Have what the container prints told, as it can take minutes: it installs sshd."""
        metadata, loop, told = pod["metadata"], asyncio.get_running_loop(), 0.0
        lines = self._client.log(
            metadata["namespace"], metadata["name"], pods.CONTAINER, follow=True
        )
        try:
            async with contextlib.aclosing(lines):
                async for line in lines:
                    self._said = last_line(line) or self._said
                    if loop.time() - told >= SAY_SECONDS:  # others are told with the next tick
                        told = loop.time()
                        changed.set()
        except ApiError as error:
            log.debug("The log of %s cannot be followed: %s", metadata["name"], error)

    async def _why(self, pod: Object, how: Report) -> str:
        """Return the reason of a failure, with what the container said last."""
        said = await self._last_words(pod) if how.logs else ""
        return how.message if not said or said in how.message else f"{how.message}: {said}"

    async def _last_words(self, pod: Object) -> str:
        metadata, last = pod["metadata"], ""
        try:
            async with asyncio.timeout(LOG_SECONDS):
                lines = self._client.log(
                    metadata["namespace"], metadata["name"], pods.CONTAINER, tail=LAST_LINES
                )
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        last = last_line(line) or last
        except (ApiError, TimeoutError) as error:
            log.debug("The log of %s cannot be read: %s", metadata["name"], error)
        return last
