"""Who may come in by SSH keys: of the configuration, a directory, the database, or a CA.

A proof is always verified with the key that it names before anybody asks whose key that is: an
unknown user, somebody else's key and a false signature take the same work and give the same None.
When a key holds (`from=`, `expiry-time=`, a certificate's dates) is judged by the wall clock, at
each look-up.

A login's proof binds user, key and the SSH connection's session identifier. The hub cannot see the
connection: that the session identifier is the gateway's own is the gateway's word, and so is the
address that it came from.
"""

from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from traitlets import Bunch, Dict, List, Unicode, Union, validate

from kworkspace.authenticators.base import (
    Authenticator,
    KeySource,
    ListedKey,
    OnChange,
    ProvenKey,
)
from kworkspace.authenticators.certificates import UserCertificate
from kworkspace.authenticators.directory import DirectoryUnusable, KeyDirectory
from kworkspace.authenticators.keyring import NO_KEYS, Keys, ParsedLines, digest_of
from kworkspace.authenticators.keys import PublicKey
from kworkspace.authenticators.options import parse_authorities, parse_revoked, parse_users
from kworkspace.authenticators.proofs import (
    Claim,
    Credential,
    claim_of_login,
    claim_of_text,
    parse_credential,
)
from kworkspace.authenticators.watch import DirectoryWatch

_CA = "CA "


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SSHKeyAuthenticator(Authenticator):
    """Lets in who holds a key that is listed for them, or a certificate of a trusted authority.

    Args:
        clock: the wall clock.
    """

    users = Dict(
        help="""Each user's name with their public keys.

        A key is a line as in id_ed25519.pub: `{"alice": ["ssh-ed25519 AAAA... alice@laptop"]}`.
        Types: ed25519, ECDSA, RSA of 2048 bits and more, and hardware (sk-) keys, which must be
        touched. In front of it may stand `from="192.0.2.0/24"` and `expiry-time="20301231"`, as in
        authorized_keys. A user without a key, `[]`, exists but cannot log in by these.""",
    ).tag(config=True)

    authorized_keys_dir = Unicode(
        help="""A directory with a file for each user: its name is the user's, and its lines are as
        in authorized_keys. Changes count within a second.""",
    ).tag(config=True)

    user_authorities = Union(
        [List(Unicode()), Unicode()],
        default_value=[],
        help="""Public keys of CAs whose user certificates are trusted, as in TrustedUserCAKeys of
        sshd_config: a list of lines, or the path of a file of lines, which is read at the start.

        A certificate is for the users that it names as principals.""",
    ).tag(config=True)

    revoked_keys = List(
        Unicode(),
        help="""Keys that are trusted no more, wherever they are listed: lines, or fingerprints as
        `SHA256:...`. Counts for a certificate's key and for a CA's as well.""",
    ).tag(config=True)

    def __init__(self, *, clock: Callable[[], datetime] = _utc_now, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._clock = clock
        self._users = parse_users(self.users)
        self._authorities = parse_authorities(self.user_authorities)
        self._revoked = parse_revoked(self.revoked_keys)
        self._lines = ParsedLines()
        self._watch: DirectoryWatch | None = None
        if self.authorized_keys_dir:
            path = Path(self.authorized_keys_dir).expanduser().absolute()
            self._watch = DirectoryWatch(KeyDirectory(path))
        elif not self._authorities:
            self._warn_of_admins()

    def _warn_of_admins(self) -> None:
        for name in sorted(self.admin_users):
            if not any(keys for _, keys in self._sources(name)):
                self.log.warning(
                    "Admin '%s' has no key in c.SSHKeyAuthenticator.users and cannot log in", name
                )

    @validate("users")
    def _check_users(self, proposal: Bunch) -> Any:
        parse_users(proposal.value)
        return proposal.value

    @validate("user_authorities")
    def _check_authorities(self, proposal: Bunch) -> Any:
        parse_authorities(proposal.value)
        return proposal.value

    @validate("revoked_keys")
    def _check_revoked(self, proposal: Bunch) -> Any:
        parse_revoked(proposal.value)
        return proposal.value

    async def open(self, on_change: OnChange) -> None:
        """Begin to watch the directory of keys.

        Raises:
            KworkspaceError: it cannot be used; one line says why and what to do.
        """
        if self._watch is None:
            return
        try:
            await self._watch.open(on_change)
        except DirectoryUnusable as error:
            option = "c.SSHKeyAuthenticator.authorized_keys_dir"
            raise DirectoryUnusable(f"{option}: {error.message}") from error

    async def aclose(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            await self._watch.aclose()

    def _in_directory(self) -> dict[str, Keys]:
        return {} if self._watch is None else self._watch.keys

    def _sources(self, user: str) -> Iterator[tuple[KeySource, Keys]]:
        """Yield the user's keys of each source, as they are now."""
        yield "configuration", self._users.get(user, NO_KEYS)
        yield "directory", self._in_directory().get(user, NO_KEYS)
        yield "database", self._lines.keys(user, self.records.key_lines(user))

    def known_users(self) -> Collection[str]:
        """Return the names of the configuration and of the directory."""
        return ChainMap(self._users, self._in_directory()).keys()

    def keys_of(self, user: str) -> Sequence[ListedKey]:
        """Return the user's keys; revoked ones too, which are listed and count nowhere."""
        return [
            ListedKey(
                line=key.key.bare_line,
                fingerprint=key.fingerprint,
                comment=key.comment,
                options=key.options,
                source=source,
                expires=key.expires,
            )
            for source, keys in self._sources(user)
            for entries in keys.values()
            for key in entries
        ]

    def public_keys(self, user: str) -> tuple[str, ...]:
        """Return the user's unconditional keys as OpenSSH lines, () for who may not enter."""
        if not self.may_enter(user):
            return ()
        lines = {
            digest: key.line
            for _, keys in self._sources(user)
            for digest, entries in keys.items()
            for key in entries
            if key.is_unconditional and digest not in self._revoked
        }
        return tuple(lines.values())

    def is_good(self, user: str, fingerprint: str, *, address: str | None = None) -> bool:
        """Whether the key is still the user's, and they may still come in."""
        try:
            digest = digest_of(fingerprint.removeprefix(_CA))
        except ValueError:
            return False
        if not self.may_enter(user) or digest in self._revoked:
            return False
        if fingerprint.startswith(_CA):
            return digest in self._authorities
        now = self._clock()
        return any(
            key.is_current(now) if address is None else key.holds(now, address)
            for _, keys in self._sources(user)
            for key in keys.get(digest, ())
        )

    def may_offer(self, user: str, public_key: str, *, address: str) -> bool:
        """Whether the key is one of the user's, or a certificate for them; nothing is proven."""
        credential = parse_credential(public_key)
        return credential is not None and self._find(user, credential, address) is not None

    def verify_signature(
        self, user: str, text: bytes, signature: str, *, address: str
    ) -> ProvenKey | None:
        """Check an armored signature over a challenge's text."""
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
        """Check a publickey authentication request that a user signed."""
        return self._prove(actor, claim_of_login(login, public_key, signed, signature), address)

    def _prove(self, user: str, claim: Claim | None, address: str) -> ProvenKey | None:
        """Both questions are always asked, so that an answer's time tells nothing of the first."""
        if claim is None:
            return None
        is_true = claim.is_true()
        found = self._find(user, claim.credential, address)
        return found if is_true else None

    def _find(self, user: str, credential: Credential, address: str) -> ProvenKey | None:
        """Return what the credential would prove: the one look-up that binds user and key."""
        if isinstance(credential, UserCertificate):
            found = self._find_certificate(user, credential, address)
        else:
            found = self._find_key(user, credential, address)
        return found if self.may_enter(user) else None

    def _find_key(self, user: str, offered: PublicKey, address: str) -> ProvenKey | None:
        now = self._clock()
        holding = [
            key
            for _, keys in self._sources(user)
            for key in keys.get(offered.digest, ())
            if key.holds(now, address)
        ]
        if not holding or offered.digest in self._revoked:
            return None
        ends = [key.expires for key in holding if key.expires is not None]
        expires = max(ends) if len(ends) == len(holding) else None
        return ProvenKey(user, offered.fingerprint, expires)

    def _find_certificate(
        self, user: str, certificate: UserCertificate, address: str
    ) -> ProvenKey | None:
        digests = {certificate.key.digest, certificate.authority.digest}
        if certificate.authority.digest not in self._authorities or digests & self._revoked:
            return None
        if not certificate.holds(user, self._clock(), address):
            return None
        return ProvenKey(user, certificate.fingerprint, certificate.expires)
