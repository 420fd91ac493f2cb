"""A clock to set, and the wait for what no event tells."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

DEADLINE = 10.0


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        self._elapsed = 0.0

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """Return what a clock shows that only goes forward."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Go on."""
        self._elapsed += seconds
        self.now += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """Be set: no time has passed."""
        self.now += timedelta(seconds=seconds)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true for which there is no event.

    Raises:
        TimeoutError: it did not become true in time.
    """
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  # the code under test tells nobody
            await asyncio.sleep(0.005)
