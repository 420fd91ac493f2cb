"""Whether somebody may come in, and whether what they came in with before may live on.

The authenticator decides by what the configuration says and by what the database knows of people,
which it is handed here, as committed. Pure look-ups in memory, for every request.
"""

from collections.abc import Sequence

from kworkspace.authenticators.base import Authenticator
from kworkspace.hub.readmodel import ReadModel, TokenRow


class CommittedPeople:
    """What the database knows of people: the authenticators' `Records`.

    Args:
        readmodel: what is committed.
    """

    def __init__(self, readmodel: ReadModel) -> None:
        self._readmodel = readmodel

    def key_lines(self, user: str) -> Sequence[str]:
        """Return the user's keys of the database as authorized_keys lines."""
        return [row.line for row in self._readmodel.keys_of(user)]

    def is_enrolled(self, user: str) -> bool:
        """Whether an admin has added the user to the database, and has not removed them."""
        row = self._readmodel.user(user)
        return row is not None and row.enrolled and not row.removing

    def is_admin(self, user: str) -> bool:
        """Whether the database calls the user an admin."""
        row = self._readmodel.user(user)
        return row is not None and row.admin and not row.removing


class Admission:
    """Says who may come in.

    Args:
        readmodel: what is committed.
        authenticator: decides.
    """

    def __init__(self, *, readmodel: ReadModel, authenticator: Authenticator) -> None:
        self._readmodel = readmodel
        self._authenticator = authenticator

    def is_admin(self, user: str) -> bool:
        """Whether a user is an admin, by the configuration or by the database."""
        return self._authenticator.is_admin(user)

    def admits(self, user: str, fingerprint: str | None = None) -> bool:
        """Whether a user may come in, and the key that they did it with is still good.

        Args:
            user: who.
            fingerprint: of the key that a token was made with, None for one made without.
        """
        row = self._readmodel.user(user)
        if row is None or row.removing or not self._authenticator.may_enter(user):
            return False
        return fingerprint is None or self._authenticator.is_good(user, fingerprint)

    def counts(self, token: TokenRow) -> bool:
        """Whether a user's token counts."""
        return token.user is not None and self.admits(token.user, token.key_fingerprint)
