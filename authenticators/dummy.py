"""Lets in everybody who says a name, with any key: for a first try, a demo, tests.

It never lets in anybody from another machine, and the hub does not start with it where it could be
asked to.
"""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from traitlets import TraitError, default

from kworkspace.authenticators.addresses import parse_address
from kworkspace.authenticators.base import Authenticator, ListedKey, ProvenKey
from kworkspace.authenticators.proofs import (
    Claim,
    claim_of_login,
    claim_of_text,
    parse_credential,
)
from kworkspace.cli.client.ways import is_loopback


class DummyAuthenticator(Authenticator):
    """Takes any SSH key as any user's. For trying the hub out on one machine, never for more.

    As with JupyterHub's, everybody may log in; with `allowed_users`, only these. The hub must
    listen on loopback addresses, and must not stand behind a proxy.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for option, url in self._urls():
            if not is_loopback(urlsplit(url).hostname or ""):
                raise TraitError(
                    f"c.Hub.{option}: '{url}' is no loopback address, and DummyAuthenticator lets"
                    " everybody in: take 127.0.0.1, or another c.Hub.authenticator_class"
                )
        self.log.warning(
            "DummyAuthenticator lets everybody on this machine in as anybody, with any SSH key"
        )

    def _urls(self) -> list[tuple[str, str]]:
        """Return where the hub can be reached, by the option that says so."""
        if self.parent is None:
            return []
        public = [("public_urls", url) for url in self.parent.public_urls]
        return [
            (name, getattr(self.parent, name)) for name in ("bind_url", "ssh_bind_url")
        ] + public

    @default("allow_all")
    def _everybody_without_a_list(self) -> bool:
        return not self.allowed_users

    def known_users(self) -> Collection[str]:
        """Return nobody: users are known once they have come."""
        return ()

    def keys_of(self, user: str) -> Sequence[ListedKey]:
        """Return no keys: none is anybody's."""
        return ()

    def public_keys(self, user: str) -> tuple[str, ...]:
        """Return no keys: workspaces are entered through the gateway."""
        return ()

    def is_good(self, user: str, fingerprint: str, *, address: str | None = None) -> bool:
        """Whether the user may come in; any key will do."""
        return self.may_enter(user) if address is None else self._may_come(user, address)

    def may_offer(self, user: str, public_key: str, *, address: str) -> bool:
        """Whether it is a key at all, and offered from this machine."""
        return parse_credential(public_key) is not None and self._may_come(user, address)

    def verify_signature(
        self, user: str, text: bytes, signature: str, *, address: str
    ) -> ProvenKey | None:
        """Check that some key made the signature."""
        return self._prove(user, claim_of_text(text, signature), address)

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
        """Check that the key which the request names signed it."""
        return self._prove(actor, claim_of_login(login, public_key, signed, signature), address)

    def _prove(self, user: str, claim: Claim | None, address: str) -> ProvenKey | None:
        if claim is None or not claim.is_true() or not self._may_come(user, address):
            return None
        return ProvenKey(user, claim.credential.fingerprint)

    def _may_come(self, user: str, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and parsed.is_loopback and self.may_enter(user)
