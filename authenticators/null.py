"""Lets in nobody: a hub for services, and for people who were given a token by an admin."""

from collections.abc import Collection, Sequence

from kworkspace.authenticators.base import Authenticator, ListedKey, ProvenKey


class NullAuthenticator(Authenticator):
    """Takes no key of anybody. Tokens that services have, or that an admin makes, count.

    Users are those that an admin adds with `kworkspace-hub user add`, and those of `admin_users`
    and `allowed_users`.
    """

    def known_users(self) -> Collection[str]:
        """Return nobody."""
        return ()

    def keys_of(self, user: str) -> Sequence[ListedKey]:
        """Return no keys."""
        return ()

    def public_keys(self, user: str) -> tuple[str, ...]:
        """Return no keys."""
        return ()

    def is_good(self, user: str, fingerprint: str, *, address: str | None = None) -> bool:
        """Say no: what was proven to another authenticator counts no more."""
        return False

    def may_offer(self, user: str, public_key: str, *, address: str) -> bool:
        """Say no."""
        return False

    def verify_signature(
        self, user: str, text: bytes, signature: str, *, address: str
    ) -> ProvenKey | None:
        """Prove nothing."""
        return None

    def verify_login(
        self,
        actor: str,
        login: str,
        public_key: str,
        signed: bytes,
        signature: bytes,
        *,
        address: str,
    ) -> ProvenKey | None:
        """Prove nothing."""
        return None
