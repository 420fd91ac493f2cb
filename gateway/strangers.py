"""Connections that have not logged in: how many there may be, in all and from one address.

When there are too many, a newcomer is let in and another one goes: whoever has said least, and of
those the one that has waited longest. A login takes a second, and who only holds connections open
says nothing: so they push each other out, and a login gets through among thousands, also from the
address that they come from. An IPv6 host can choose addresses within its /64 as it likes, so that
counts as one (RFC 4291, section 2.5.4).
"""

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from kworkspace.cli.client.addresses import source_of
from kworkspace.gateway.limits import Limits


class Stranger(Protocol):
    """Somebody who waits at the door."""

    @property
    def standing(self) -> int:
        """How far they have come with their login; 0 is nowhere."""


T = TypeVar("T", bound=Stranger)


class Strangers(Generic[T]):
    """Who waits at the door, in the order in which they came.

    Args:
        limits: how many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._source: dict[T, str] = {}
        self._from: dict[str, dict[T, None]] = {}

    def add(self, stranger: T, address: str) -> T | None:
        """Count one more.

        Args:
            stranger: whoever came.
            address: the IP address that they came from.

        Returns:
            Who must go for it, and is not counted any more.
        """
        source = source_of(address)
        goes: T | None = None
        if len(self._from.get(source, ())) >= self._limits.strangers_per_address:
            goes = _least(self._from[source])
        elif len(self._source) >= self._limits.strangers:
            goes = _least(self._source)
        if goes is not None:
            self.discard(goes)
        self._source[stranger] = source
        self._from.setdefault(source, {})[stranger] = None
        return goes

    def discard(self, stranger: T) -> None:
        """They logged in or left; nothing happens when they were not counted."""
        source = self._source.pop(stranger, None)
        if source is not None:
            del self._from[source][stranger]
            if not self._from[source]:
                del self._from[source]

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._source))


def _least(strangers: Iterable[T]) -> T:
    """Return the first of those that have the least standing; there is somebody."""
    least: T | None = None
    for stranger in strangers:
        standing = stranger.standing
        if standing == 0:
            return stranger
        if least is None or standing < least.standing:
            least = stranger
    assert least is not None
    return least
