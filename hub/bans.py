"""Logins that failed, by user name and address: who fails often is not looked at for a while.

Known on every hub: each tells the others over the bus. A ban is for one name from one address:
others behind that address come in, and so does that user from elsewhere, and with a key that they
have logged in with before: behind a proxy that hides addresses, everybody has the same one. It is
short at first and grows slowly; a login that succeeds ends the count. What is kept is bounded,
however many names somebody tries.
"""

import hashlib
import logging
import time
from collections.abc import Callable

import msgspec

from kworkspace.cli.client.addresses import source_of
from kworkspace.hub.bus import Bus
from kworkspace.hub.counts import Count, keep_newest

log = logging.getLogger(__name__)

LOGINS = "logins"
FREE = 10
"""Failed connections before the first ban, which is of a second; each one more doubles it."""
LONGEST = 300.0
MOST_OF_SOURCE = 1000
MOST_SOURCES = 1000
MOST_KEYS = 10_000


class _Login(msgspec.Struct, frozen=True, kw_only=True):
    """What one hub tells the others, and itself."""

    source: str
    user: str
    key: str | None
    """A digest of what a login was made with; None: it failed."""


class Bans:
    """The counts.

    Args:
        bus: to the other hubs.
        seconds: a clock that only goes forward, in seconds.
    """

    def __init__(self, *, bus: Bus, seconds: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._seconds = seconds
        self._counts: dict[str, dict[str, Count]] = {}
        self._good: dict[str, None] = {}
        bus.subscribe(LOGINS, self._heard)

    def is_banned(self, user: str, address: str, public_key: str) -> bool:
        """Whether a login is refused without a look-up of its key."""
        return (
            self._wait(source_of(address), user) > 0 and _digest(user, public_key) not in self._good
        )

    def failed(self, user: str, address: str) -> None:
        """A connection has ended without a login; one that was banned changes nothing."""
        source = source_of(address)
        if self._wait(source, user) == 0:
            self._tell(_Login(source=source, user=user, key=None))
            if (wait := self._wait(source, user)) > 0:
                log.info("Logins of %s from %s are refused for %d s", user, source, wait)

    def succeeded(self, user: str, address: str, public_key: str) -> None:
        """A login is good: forget what has failed, and remember the key."""
        source, key = source_of(address), _digest(user, public_key)
        if user in self._counts.get(source, ()) or key not in self._good:
            self._tell(_Login(source=source, user=user, key=key))

    def _wait(self, source: str, user: str) -> float:
        count = self._counts.get(source, {}).get(user)
        return 0.0 if count is None else count.wait(self._seconds(), FREE, LONGEST)

    def _tell(self, login: _Login) -> None:
        self._bus.publish(LOGINS, msgspec.json.encode(login))

    def _heard(self, message: bytes) -> None:
        login = msgspec.json.decode(message, type=_Login)
        users = self._counts.pop(login.source, {})
        count = users.pop(login.user, None) or Count()
        if login.key is None:
            count.add(self._seconds())
            keep_newest(users, login.user, count, MOST_OF_SOURCE)
        else:
            keep_newest(self._good, login.key, None, MOST_KEYS)
        if users:
            keep_newest(self._counts, login.source, users, MOST_SOURCES)


def _digest(user: str, public_key: str) -> str:
    return hashlib.sha256(f"{user} {public_key}".encode()).hexdigest()
