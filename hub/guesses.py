"""Counts wrong guesses of what is secret and short, for each source and for all together.

Known on every hub: each tells the others over the bus. What one source guesses makes it wait, a
little longer each time; a whole office behind one address makes a few slips without noticing. All
sources together are only slowed down, so that nobody locks everybody out.
"""

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from kworkspace.cli.client.addresses import source_of
from kworkspace.cli.client.errors import TooMany
from kworkspace.hub.bus import Bus

GUESSES = "guesses"
FREE = 10
"""Wrong guesses of one source before it must wait."""
FREE_OF_ALL = 200
LONGEST = 900.0
LONGEST_OF_ALL = 2.0
MEMORY_SECONDS = 3600.0
MOST_SOURCES = 10_000
EVERYBODY = ""


class _Guess(msgspec.Struct, frozen=True, kw_only=True):
    """What one hub tells the others."""

    hub: str
    source: str


@dataclass(slots=True)
class Count:
    """What went wrong, how often and when at last."""

    wrong: int = 0
    last: float = 0.0

    def add(self, now: float) -> None:
        """Count one more; what is long ago is forgotten."""
        if now - self.last > MEMORY_SECONDS:
            self.wrong = 0
        self.wrong, self.last = self.wrong + 1, now

    def wait(self, now: float, free: int, longest: float) -> float:
        """Return the seconds until the next guess is heard; one that is waited for doubles it."""
        over = self.wrong - free
        if over < 0 or now - self.last > MEMORY_SECONDS:
            return 0.0
        return max(0.0, self.last + min(longest, 2.0 ** min(over, 30)) - now)


class Guesses:
    """The counts.

    Args:
        bus: to the other hubs.
        seconds: a clock that only goes forward, in seconds.
    """

    def __init__(self, *, bus: Bus, seconds: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._seconds = seconds
        self._hub = str(uuid.uuid4())
        self._counts: dict[str, Count] = {}
        bus.subscribe(GUESSES, self._heard)

    def begin(self, address: str) -> str:
        """Count a guess as wrong before anybody looks at it: several at once count as several.

        Args:
            address: the IP address that it came from.

        Returns:
            What `was_right` takes it back by.

        Raises:
            TooMany: it must wait, and is not looked at.
        """
        source, now = source_of(address)[:64], self._seconds()
        waits = (
            self._of(source).wait(now, FREE, LONGEST),
            self._of(EVERYBODY).wait(now, FREE_OF_ALL, LONGEST_OF_ALL),
        )
        if (wait := max(waits)) > 0:
            raise TooMany("Too many wrong codes were tried; wait a while", math.ceil(wait))
        self._count(source)
        return source

    def was_wrong(self, source: str) -> None:
        """Tell the other hubs of a guess that `begin` has counted here."""
        self._bus.publish(GUESSES, msgspec.json.encode(_Guess(hub=self._hub, source=source)))

    def was_right(self, source: str) -> None:
        """Take it back: it was none."""
        for count in (self._of(source), self._of(EVERYBODY)):
            count.wrong = max(0, count.wrong - 1)

    def _heard(self, message: bytes) -> None:
        guess = msgspec.json.decode(message, type=_Guess)
        if guess.hub != self._hub:
            self._count(guess.source)

    def _count(self, source: str) -> None:
        now = self._seconds()
        for key in (source, EVERYBODY):
            count = self._of(key)
            count.add(now)
            # The newest are at the end; when there are too many, the oldest go.
            self._counts.pop(key, None)
            self._counts[key] = count
        while len(self._counts) > MOST_SOURCES:
            del self._counts[next(iter(self._counts))]

    def _of(self, key: str) -> Count:
        return self._counts.get(key) or Count(last=self._seconds())
