"""The token cache: one 0600 file for each hub and user, in the state folder.

A file that others could read or that is not ours is not used: its token may be known to them.
Expiry is kept by this computer's clock, counted from when the token came; a wrong clock costs a
sign-in (the hub answers 401) and nothing else.
"""

import os
import stat
import time
from hashlib import sha256
from typing import Self

import msgspec

from kworkspace.cli.client.models import NewToken, Token
from kworkspace.cli.client.replies import decode_json
from kworkspace.cli.keys import Key
from kworkspace.cli.settings import Settings
from kworkspace.cli.state import write_private
from kworkspace.cli.terminal import warn

RENEW_SECONDS = 60.0
MAX_SECONDS = 10**10


class StoredToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token and what it is for.

    Attributes:
        url: the hub.
        user: the user name there.
        token: the secret.
        key: the file of the SSH key that signed for it.
        key_label: how the person knows that key.
        expires_at: seconds since the epoch by this computer's clock; None for never.
    """

    url: str
    user: str
    token: Token
    key: str
    key_label: str
    expires_at: float | None

    @classmethod
    def of(cls, new: NewToken, *, url: str, user: str, key: Key) -> Self:
        """Take over what the hub issued just now."""
        expires_at = None
        if new.expires_in is not None:
            expires_at = time.time() + max(0, min(new.expires_in, MAX_SECONDS))
        return cls(
            url=url,
            user=user,
            token=new.token,
            key=str(key.path),
            key_label=key.label,
            expires_at=expires_at,
        )

    @property
    def remaining(self) -> float | None:
        """Seconds that the token is still good for; None for ever."""
        return None if self.expires_at is None else self.expires_at - time.time()


class TokenCache:
    """Where the token for one hub and user is kept."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._user = settings.api, settings.user
        name = sha256(f"{self._url}\n{self._user}".encode()).hexdigest()[:32]
        self.path = settings.state_dir / "tokens" / f"{name}.json"

    def load(self) -> StoredToken | None:
        """Return the token, also an expired one; None when there is none that can be trusted."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                warn(f"{self.path} was open to others; its token is not used any more")
                return None
            content = file.read()
        try:
            stored = decode_json(content, StoredToken)
        except msgspec.DecodeError:
            return None
        return stored if (stored.url, stored.user) == (self._url, self._user) else None

    def fresh(self) -> StoredToken | None:
        """Return the token if it is good for a while yet."""
        stored = self.load()
        if stored is None or (stored.remaining is not None and stored.remaining < RENEW_SECONDS):
            return None
        return stored

    def save(self, stored: StoredToken) -> None:
        """Keep a token, in place of the one before."""
        write_private(self.path, msgspec.json.encode(stored))

    def delete(self) -> None:
        """Forget the token."""
        self.path.unlink(missing_ok=True)
