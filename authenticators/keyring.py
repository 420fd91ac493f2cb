"""Keys of users, found by digest: what the sources of keys are turned into, once for each change.

A key may be listed more than once, under other conditions: it is good if one of its lines is, as
in sshd. What the database says is asked at each look-up and only its parsing is kept, so that no
key lives longer than its row.
"""

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence

from kworkspace.authenticators.authorized_keys import AuthorizedKey, parse_authorized_key
from kworkspace.cli.client.errors import BadRequest

log = logging.getLogger(__name__)

Keys = Mapping[bytes, tuple[AuthorizedKey, ...]]
"""The keys of one user, by the SHA-256 of the blob; several when the key has several lines."""

NO_KEYS: Keys = {}
MOST_USERS = 10_000

_PREFIX = "SHA256:"


def by_digest(keys: Iterable[AuthorizedKey]) -> Keys:
    """Return the keys of one user so that they can be found."""
    found: dict[bytes, tuple[AuthorizedKey, ...]] = {}
    for key in keys:
        digest = key.key.digest
        found[digest] = (*found.get(digest, ()), key)
    return found


def digest_of(fingerprint: str) -> bytes:
    """Return the digest that a fingerprint, `SHA256:...`, shows.

    Raises:
        ValueError: it is none.
    """
    encoded = fingerprint.removeprefix(_PREFIX)
    if encoded == fingerprint:
        raise ValueError("no SHA256 fingerprint")
    try:
        digest = base64.b64decode(f"{encoded}=", validate=True)
    except ValueError:
        raise ValueError("no SHA256 fingerprint") from None
    if len(digest) != 32:
        raise ValueError("no SHA256 fingerprint")
    return digest


class ParsedLines:
    """The parsed lines of the database, kept for each user as long as they are the same lines."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[tuple[str, ...], Keys]] = {}

    def keys(self, user: str, lines: Sequence[str]) -> Keys:
        """Return the keys of the lines that the database has now.

        A line that is not read (it was accepted by rules that were others) is a warning, once.
        """
        if not lines:
            self._parsed.pop(user, None)
            return NO_KEYS
        now = tuple(lines)
        before = self._parsed.get(user)
        if before is not None and before[0] == now:
            return before[1]
        if len(self._parsed) >= MOST_USERS:
            self._parsed.clear()
        keys = by_digest(_parse(user, now))
        self._parsed[user] = (now, keys)
        return keys


def _parse(user: str, lines: Iterable[str]) -> Iterable[AuthorizedKey]:
    for number, line in enumerate(lines, 1):
        try:
            yield parse_authorized_key(line, f"database, key {number} of {user}")
        except BadRequest as error:
            log.warning("%s; it is not used", error.message)
