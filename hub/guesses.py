"""Counts wrong guesses of what is secret and short, for each source and for all together.

Known on every hub: each tells the others over the bus. What one source guesses makes it wait, a
little longer each time; a whole office behind one address makes a few slips without noticing. All
sources together are only slowed down, so that nobody locks everybody out.
"""

import math
import time
import uuid
from collections.abc import Callable

import msgspec

from kworkspace.cli.client.addresses import source_of
from kworkspace.cli.client.errors import TooMany
from kworkspace.hub.bus import Bus
from kworkspace.hub.counts import Count, keep_newest

GUESSES = "guesses"
FREE = 10
"""Wrong guesses of one source before it must wait."""
FREE_OF_ALL = 200
LONGEST = 900.0
LONGEST_OF_ALL = 2.0
MOST_SOURCES = 10_000
EVERYBODY = ""


class _Guess(msgspec.Struct, frozen=True, kw_only=True):
    """What one hub tells the others."""

    hub: str
    source: str


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
        source, now = source_of(address), self._seconds()
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
            keep_newest(self._counts, key, count, MOST_SOURCES)

    def _of(self, key: str) -> Count:
        return self._counts.get(key) or Count(last=self._seconds())
