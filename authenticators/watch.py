"""Watches the directory of keys, by looking at it twice a second.

inotify sees neither what another machine changes on NFS nor all of what Kubernetes exchanges. The
looking is done by a thread of its own, which nobody waits for: a file system that hangs stops
neither the hub nor its end. What was found last counts for `HOLD_SECONDS` after the last look that
succeeded; then nobody has a key there. So an outage ends no session at once, and a key that was
taken away does not live on behind it.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection

from kworkspace.authenticators.directory import (
    HOLD_SECONDS,
    DirectoryUnusable,
    KeyDirectory,
    Look,
)
from kworkspace.authenticators.keyring import Keys
from kworkspace.cli.client.tasks import Tasks

POLL_SECONDS = 0.5
JOIN_SECONDS = 2.0

log = logging.getLogger(__name__)


class DirectoryWatch:
    """The keys of a directory, as they are now.

    Args:
        directory: what to look at.
        clock: seconds, monotonic.
    """

    def __init__(
        self, directory: KeyDirectory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.keys: dict[str, Keys] = {}
        self._directory = directory
        self._clock = clock
        self._on_change: Callable[[Collection[str]], None] = _nobody
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._first: asyncio.Future[None] | None = None
        self._looked = 0.0
        self._problem = ""
        self._tasks = Tasks()

    async def open(self, on_change: Callable[[Collection[str]], None]) -> None:
        """Look for the first time, and go on looking.

        Args:
            on_change: called from the event loop with the users whose keys have changed since.

        Raises:
            DirectoryUnusable: the first look failed; one line says why.
        """
        loop = asyncio.get_running_loop()
        self._first = loop.create_future()
        self._thread = threading.Thread(
            target=self._look_on, args=(loop,), name="directory of keys", daemon=True
        )
        self._thread.start()
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await self._first
        except TimeoutError:
            self._ending.set()
            raise DirectoryUnusable(
                f"{self._directory.path}: the directory gave no answer in {HOLD_SECONDS:.0f} s"
            ) from None
        except DirectoryUnusable:
            await self.aclose()
            raise
        self._on_change = on_change
        self._tasks.spawn(self._forget_in_time(), "forget keys that cannot be read")

    async def aclose(self) -> None:
        """Stop looking."""
        await self._tasks.aclose()
        self._ending.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, JOIN_SECONDS)

    def _look_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look until the end; the thread's work."""
        while True:
            found: Look | DirectoryUnusable
            try:
                found = self._directory.look()
            except DirectoryUnusable as error:
                found = error
            if self._ending.is_set():
                return
            try:
                loop.call_soon_threadsafe(self._take, found)
            except RuntimeError:
                return  # the loop has ended without `aclose`
            if self._ending.wait(POLL_SECONDS):
                return

    def _take(self, found: Look | DirectoryUnusable) -> None:
        if self._ending.is_set():
            return
        if isinstance(found, DirectoryUnusable):
            self._fail(found)
            return
        for warning in found.warnings:
            log.warning("%s", warning)
        if self._problem:
            log.warning("%s: the directory is read again", self._directory.path)
            self._problem = ""
        self._looked = self._clock()
        self._set(found.keys)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)

    def _fail(self, error: DirectoryUnusable) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_exception(error)
        elif error.message != self._problem:
            self._problem = error.message
            log.error("%s; its keys count for %d s more", error.message, HOLD_SECONDS)

    def _set(self, keys: dict[str, Keys]) -> None:
        if keys is self.keys:
            return
        before, self.keys = self.keys, keys
        changed = {
            user
            for user in before.keys() | keys.keys()
            if (old := before.get(user)) is not (new := keys.get(user)) and old != new
        }
        if changed:
            self._on_change(changed)

    async def _forget_in_time(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self.keys and self._clock() - self._looked > HOLD_SECONDS:
                log.error("%s: no key in it counts until it is read again", self._directory.path)
                self._problem = self._problem or "no answer"
                self._set({})


def _nobody(users: Collection[str]) -> None:
    """Tell nobody."""
