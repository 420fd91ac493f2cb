"""The file of a certificate authority: its keys, the oldest first, each with what is noted of it.

    -----BEGIN OPENSSH PRIVATE KEY-----
    # kworkspace since=TIME signs=TIME ends=TIME

`signs`: from when it signs, if it is not the first one; `ends`: when the ones before it are no
longer trusted. A rotation is one write, of a further key at the end; all that follows from it is a
matter of time, the same in each hub that reads the file. A key without a note is a file of one.
Private keys leave this module into the file alone.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.files import FileUnusable, read_secret, write_secret

SETTLE = timedelta(minutes=5)
"""In which a new key reaches all that is to trust it, before it signs."""

_NOTE = "# kworkspace "
_BLOCK = re.compile(
    r"\s*(?P<key>-----BEGIN (?P<kind>[A-Z ]*PRIVATE KEY)-----\n.*?-----END (?P=kind)-----)"
    r"(?P<notes>(?:\s*#[^\n]*(?:\n|$))*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key.

    Attributes:
        key: private.
        since: when it was made, if that is known.
        signs: from when it signs; None at once.
        ends: when the keys before it are no longer trusted; None never.
    """

    key: asyncssh.SSHKey
    since: datetime | None = None
    signs: datetime | None = None
    ends: datetime | None = None

    @property
    def line(self) -> str:
        """The public half, as an OpenSSH line."""
        return self.key.export_public_key().decode().strip()

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen shows it."""
        return self.key.get_fingerprint()

    def text(self) -> str:
        """Return private key and note."""
        times = {"since": self.since, "signs": self.signs, "ends": self.ends}
        note = " ".join(f"{name}={when.isoformat()}" for name, when in times.items() if when)
        key = self.key.export_private_key().decode().strip()
        return f"{key}\n{_NOTE}{note}\n" if note else f"{key}\n"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of an authority.

    Attributes:
        keys: the oldest first; at least one.
        origin: the fingerprint of its very first key, which names the authority for ever.
    """

    keys: tuple[RingKey, ...]
    origin: str

    @classmethod
    def new(cls, comment: str, now: datetime) -> "KeyRing":
        """Return an authority with a first key."""
        first = RingKey(_new_key(comment), since=now)
        return cls((first,), first.fingerprint)

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read a file.

        Raises:
            ValueError: it is none; the message quotes nothing of it.
        """
        found: list[RingKey] = []
        origin, end = "", 0
        while match := _BLOCK.match(text, end):
            notes = _notes(match["notes"])
            origin = notes.pop("origin", origin)
            times = {name: _moment(value) for name, value in notes.items()}
            if times.keys() - {"since", "signs", "ends"}:
                raise ValueError("a note of another version")
            try:
                found.append(RingKey(asyncssh.import_private_key(match["key"]), **times))
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                raise ValueError(str(error)) from None
            end = match.end()
        if not found or text[end:].strip():
            raise ValueError("not a private key in OpenSSH's format, and nothing else")
        return cls(tuple(found), origin or found[0].fingerprint)

    def text(self) -> str:
        """Return the file."""
        own = self.origin == self.keys[0].fingerprint
        tail = "" if own else f"{_NOTE}origin={self.origin}\n"
        return "".join(one.text() for one in self.keys) + tail

    def trusted(self, now: datetime) -> Sequence[RingKey]:
        """Return the keys that are trusted, the oldest first; the newest one always is."""
        ended = [
            index for index, one in enumerate(self.keys) if one.ends is not None and one.ends <= now
        ]
        return self.keys[max(ended, default=0) :]

    def signing(self, now: datetime) -> RingKey:
        """Return the key that signs: the newest whose time has come."""
        trusted = self.trusted(now)
        return next(
            (one for one in reversed(trusted) if one.signs is None or one.signs <= now), trusted[0]
        )

    def rotated(self, comment: str, now: datetime, overlap: timedelta) -> "KeyRing":
        """Return it with a further key, and without those that nobody trusts any more.

        Args:
            comment: of the new key.
            now: when.
            overlap: for how long the others are still trusted, longer than a new key takes to be
                trusted everywhere; none at all is for a key that was stolen.
        """
        new = RingKey(
            _new_key(comment),
            since=now,
            signs=now + (SETTLE if overlap else overlap),
            ends=now + overlap,
        )
        return KeyRing((*self.trusted(now), new), self.origin)


def _notes(text: str) -> dict[str, str]:
    words = [
        word
        for line in text.splitlines()
        if line.startswith(_NOTE)
        for word in line.removeprefix(_NOTE).split()
    ]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _new_key(comment: str) -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519", comment=comment)


def read_ring(file: Path) -> KeyRing | None:
    """Return the authority of a file, None if there is none yet.

    Raises:
        KworkspaceError: the file is there, and cannot be used.
    """
    text = read_secret(file)
    if text is None:
        return None
    try:
        return KeyRing.parse(text)
    except ValueError as error:
        raise KworkspaceError(
            f"{file} is not a usable private key ({error}): restore it from a copy"
        ) from None


def write_ring(file: Path, ring: KeyRing, otherwise: Path) -> Path:
    """Write an authority, whole or not at all, and return where it is now.

    Args:
        file: where it belongs.
        ring: to write.
        otherwise: where it goes if the file is not ours to write, as that of a mounted Secret.

    Raises:
        FileUnusable: it cannot be written there either.
    """
    place = file.resolve()
    if place.exists() and place.stat().st_uid != os.geteuid():
        place = otherwise  # the hub could not read it any more
    try:
        write_secret(place, ring.text().strip())
    except FileUnusable:
        if place == otherwise:
            raise
        place = otherwise
        write_secret(place, ring.text().strip())
    return file if place != otherwise else otherwise
