"""The interface between the hub and who may come in.

The ways in (challenge, SSH login) end in one question: does this proof show that the caller holds
a key of this user, from where it may be used, now? Unknown user, wrong key and false signature are
one answer, found with the same work, so that nothing can be told from it.

What the database knows of people the hub hands over as `Records`: an authenticator asks it at each
look-up, and never keeps what it said.
"""

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from traitlets import Bool, Bunch, Set, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from kworkspace.cli.client.errors import InvalidName
from kworkspace.cli.client.names import parse_user_name

KeySource = Literal["database", "configuration", "directory"]


class Records(Protocol):
    """What the hub's database knows of people; in memory, so it answers at once."""

    def key_lines(self, user: str) -> Sequence[str]:
        """Return the user's keys of the database as authorized_keys lines, with their options."""

    def is_enrolled(self, user: str) -> bool:
        """Whether an admin has added the user to the database."""

    def is_admin(self, user: str) -> bool:
        """Whether the database calls the user an admin."""


class NoRecords:
    """A database that knows nobody."""

    def key_lines(self, user: str) -> Sequence[str]:
        """Return no keys."""
        return ()

    def is_enrolled(self, user: str) -> bool:
        """Say no."""
        return False

    def is_admin(self, user: str) -> bool:
        """Say no."""
        return False


@dataclass(frozen=True, slots=True)
class ProvenKey:
    """A key that signed.

    Attributes:
        user: whose key it is.
        fingerprint: `SHA256:...`, as ssh-keygen -l shows it; for a certificate, `CA SHA256:...`
            of the authority that signed it.
        expires: when the key or certificate ceases to be good; None never does.
    """

    user: str
    fingerprint: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key of a user, for lists.

    Attributes:
        line: type and base64, without options and comment.
        fingerprint: `SHA256:...`.
        comment: what followed the key on its line.
        options: what stood in front of it.
        source: where it is kept.
        expires: from its `expiry-time=`.
    """

    line: str
    fingerprint: str
    comment: str
    options: str
    source: KeySource
    expires: datetime | None


OnChange = Callable[[Collection[str]], None]


class Authenticator(LoggingConfigurable):
    """Decides who may come in.

    Args:
        records: what the database knows.
    """

    admin_users = Set(
        Unicode(), help="Users who may do everything, as in JupyterHub. They are allowed to log in."
    ).tag(config=True)

    allowed_users = Set(
        Unicode(),
        help="""If any are given, only these users and the admins may log in.

        Without it everybody may who is named elsewhere: in the configuration, in a directory of
        keys, or in the database by `kworkspace-hub user add`.""",
    ).tag(config=True)

    blocked_users = Set(
        Unicode(),
        help="Users who may not log in, whatever else is said of them; their tokens do not count.",
    ).tag(config=True)

    allow_all = Bool(
        False,
        help="""Whether everybody may log in who can prove who they are, named or not.

        For authorities that vouch for people whom nobody has listed, such as a CA.""",
    ).tag(config=True)

    @validate("admin_users", "allowed_users", "blocked_users")
    def _parse_names(self, proposal: Bunch) -> set[str]:
        option = f"c.Authenticator.{proposal.trait.name}"
        try:
            return {parse_user_name(name, f"{option}: {name!r}") for name in proposal.value}
        except InvalidName as error:
            raise TraitError(error.message) from None

    def __init__(self, *, records: Records | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.records: Records = NoRecords() if records is None else records

    async def open(self, on_change: OnChange) -> None:
        """Begin to watch the sources of keys.

        Args:
            on_change: called, from the event loop, with the users whose keys have changed.

        Raises:
            KworkspaceError: a source cannot be used; one line says why and what to do.
        """

    async def aclose(self) -> None:
        """Stop watching."""

    def is_admin(self, user: str) -> bool:
        """Whether a user is an admin, by the configuration or by the database."""
        return user in self.admin_users or self.records.is_admin(user)

    def may_enter(self, user: str) -> bool:
        """Whether a user may come in at all, once they have proven who they are."""
        if user in self.blocked_users:
            return False
        if self.allow_all or user in self.allowed_users or self.is_admin(user):
            return True
        return not self.allowed_users and (
            self.records.is_enrolled(user) or user in self.known_users()
        )

    @abstractmethod
    def known_users(self) -> Collection[str]:
        """Return the users that the configuration and its files name, a set or the like."""

    @abstractmethod
    def keys_of(self, user: str) -> Sequence[ListedKey]:
        """Return all keys of a user, of whatever source; () for an unknown user."""

    @abstractmethod
    def public_keys(self, user: str) -> tuple[str, ...]:
        """Return the keys that open the user's workspace without the hub, as OpenSSH lines.

        Those that hold under a condition (an address, a time) are not among them: they open it
        through the gateway, where the condition is checked.
        """

    @abstractmethod
    def is_good(self, user: str, fingerprint: str, *, address: str | None = None) -> bool:
        """Whether what was proven with a key may live on: tokens and sessions.

        Args:
            user: whose.
            fingerprint: as in `ProvenKey`.
            address: the IP address that it is now used from, if that is to count too; that of a
                certificate counts when it is shown, and only then.
        """

    @abstractmethod
    def may_offer(self, user: str, public_key: str, *, address: str) -> bool:
        """Whether this key, offered and not yet proven, is one of the user's.

        Args:
            user: a name; unknown ones cost the same work.
            public_key: an OpenSSH line of a public key or of a user certificate.
            address: the IP address that it is offered from.
        """

    @abstractmethod
    def verify_signature(
        self, user: str, text: bytes, signature: str, *, address: str
    ) -> ProvenKey | None:
        """Check an armored SSH signature (OpenSSH's PROTOCOL.sshsig) over a challenge's text.

        Args:
            user: who claims to have signed.
            text: what was to be signed, composed by the hub from the request's fields.
            signature: the armor that `ssh-keygen -Y sign -n kworkspace` made.
            address: the IP address that it came from.

        Returns:
            The key, or None for whatever reason there is.
        """

    @abstractmethod
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
        """Check a publickey authentication request that a user signed (RFC 4252, section 7).

        Args:
            actor: whose key it must be.
            login: the SSH user name that the signed request must carry.
            public_key: the OpenSSH line of the key or certificate that signed.
            signed: the data that was signed: string session identifier, then the request.
            signature: the SSH signature blob.
            address: the IP address of the SSH client.

        Returns:
            The key, or None for whatever reason there is.
        """
