"""When a start that fails again and again may be tried again: per user and image, in memory.

It spares the cluster, the registry and the log a client that tries without end; it forgets with the
process. Called by the spawner at the beginning and at the end of each start.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from kworkspace.cli.client.errors import StartFailed

FREE = 2  # so many failures cost nothing: somebody mends a configuration and tries
FIRST_SECONDS = 10.0
MOST_SECONDS = 300.0
FORGET_SECONDS = 3600.0


@dataclass(slots=True)
class _Failures:
    count: int
    until: float
    last: float
    reason: str


class Backoff:
    """Counts failures.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], _Failures] = {}

    def check(self, user: str, image: str) -> None:
        """Let a start begin, or not yet.

        Raises:
            StartFailed: it says when to try again, and why it failed the last time.
        """
        failures = self._failures.get((user, image))
        if failures is None:
            return
        wait = failures.until - self._clock()
        if wait > 0:
            raise StartFailed(
                f"the last {failures.count} starts of it failed: try again in {wait:.0f} s. The"
                f" last one: {failures.reason}"
            )

    def failed(self, user: str, image: str, reason: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._forget(now)
        known = self._failures.get((user, image))
        count = 1 if known is None else known.count + 1
        wait = 0.0
        if count > FREE:
            wait = min(FIRST_SECONDS * 2 ** min(count - FREE - 1, 16), MOST_SECONDS)
        self._failures[user, image] = _Failures(count, now + wait, now, reason)

    def succeeded(self, user: str, image: str) -> None:
        """Forget the failures: it works."""
        self._failures.pop((user, image), None)

    def _forget(self, now: float) -> None:
        old = [key for key, one in self._failures.items() if now - one.last > FORGET_SECONDS]
        for key in old:
            del self._failures[key]
