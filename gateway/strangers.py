"""Connections that have not logged in: how many there may be, in all and from one address.

`House` asks when one comes. The limit for an address keeps one machine from locking everybody out;
an IPv6 host can choose addresses within its /64 as it likes, so that counts as one (RFC 4291,
section 2.5.4).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from kworkspace.cli.client.addresses import source_of

T = TypeVar("T")

MAX_STRANGERS = 500
"""Connections that may be without a login at one time."""

MAX_FROM_ONE_SOURCE = 50
"""How many of these may come from one address: room for a class behind one, at the same minute."""


class Strangers(Generic[T]):
    """Who waits at the door, each counted for the source that they come from."""

    def __init__(self) -> None:
        self._source: dict[T, str] = {}
        self._count: Counter[str] = Counter()

    def add(self, stranger: T, address: str) -> bool:
        """Count one more; False when there are too many already.

        Args:
            stranger: whoever came.
            address: the IP address that they came from.
        """
        source = source_of(address)
        if len(self._source) >= MAX_STRANGERS or self._count[source] >= MAX_FROM_ONE_SOURCE:
            return False
        self._source[stranger] = source
        self._count[source] += 1
        return True

    def discard(self, stranger: T) -> None:
        """They logged in or left; nothing happens when they were not counted."""
        source = self._source.pop(stranger, None)
        if source is not None:
            self._count[source] -= 1
            if not self._count[source]:
                del self._count[source]

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._source))
