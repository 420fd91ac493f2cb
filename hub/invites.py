"""Invitations: a code that adds one key to a user's, once, for people with nothing installed.

The trust boundary: a gateway's token alone adds nothing. The hub verifies that the key has signed
the login `invite` in a connection of its own gateway's door, and asks for the code, which it keeps
as a SHA-256. Guesses are counted before they are looked at. A code is used up in the transaction
that adds the key; looking at it, or failing, uses up nothing.
"""

import secrets
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.authenticators.base import Authenticator
from kworkspace.authenticators.keys import PublicKey
from kworkspace.authenticators.proofs import claim_of_invite
from kworkspace.cli.client import models as m
from kworkspace.cli.client.errors import BadRequest, Conflict, Forbidden, NotFound
from kworkspace.hub.audit import Audit, origin
from kworkspace.hub.ca import DoorKey
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import invites as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.guesses import Guesses
from kworkspace.hub.keys import Keys
from kworkspace.hub.proofs import decode_field, session_id_of
from kworkspace.hub.readmodel import digest

SHORTEST, LONGEST = 60, 30 * 86400
MOST_OPEN = 20
GROUPS, LETTERS = 4, 4
# Crockford's: no letter that could be read as another, or as a digit. 80 bits in 16 of them.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_READ_AS = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})
COMMENT = "by invitation"

WRONG = (
    "This code opens nothing: it is mistyped, used already, withdrawn, or too old."
    " Your administrator makes another"
)
UNPROVEN = "Refused: what this key signed is no login of an invitation at this hub's gateway"


def new_code() -> str:
    """Return a new code, in groups that can be read out."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(GROUPS * LETTERS))
    return "-".join(letters[i : i + LETTERS] for i in range(0, len(letters), LETTERS))


def normal_code(text: str) -> str:
    """Return a code as a person may have typed it, as it is kept; "" for what is none."""
    code = text.strip().lower().translate(_READ_AS)
    return code if len(code) == GROUPS * LETTERS and set(code) <= set(ALPHABET) else ""


class InviteBook:
    """Makes, lists and withdraws invitations.

    Args:
        store: the database.
        audit: the audit log.
        authenticator: who may come in.
        clock: now.
    """

    def __init__(
        self, *, store: Store, audit: Audit, authenticator: Authenticator, clock: Clock
    ) -> None:
        self._store = store
        self._audit = audit
        self._authenticator = authenticator
        self._clock = clock

    async def new(self, user: str, expires_in: int, by: str) -> m.NewInvite:
        """Make an invitation.

        Args:
            user: whose account it opens.
            expires_in: seconds.
            by: who invites, for lists.

        Raises:
            NotFound: there is no such user.
            BadRequest: it would last too short or too long.
            Conflict: the user may not log in, or has too many that are open.
        """
        if not SHORTEST <= expires_in <= LONGEST:
            raise BadRequest(f"expires_in: expected {SHORTEST} seconds to {LONGEST // 86400} days")
        code = new_code()
        row = await self._new(user, digest(normal_code(code)), expires_in, by[:255])
        return m.NewInvite(id=row.id, user=user, code=code, expires=row.expires)

    @retried
    async def _new(self, user: str, code_digest: str, expires_in: int, by: str) -> db.Invite:
        async with self._store.begin() as session:
            await serialize(session, queries.INVITES)
            person = await self._person(session, user)
            if person.removing or not self._authenticator.may_enter(user):
                raise Conflict(f"User {user} may not log in here: an invitation would not help")
            now = self._clock()
            open_ones = [row for row in await queries.of_user(session, person) if row.expires > now]
            if len(open_ones) >= MOST_OPEN:
                raise Conflict(f"User {user} has {MOST_OPEN} invitations that are open: enough")
            row = db.Invite(
                digest=code_digest,
                user=person,
                by=by,
                created=now,
                expires=now + timedelta(seconds=expires_in),
            )
            session.add(row)
            await session.flush()
            self._audit.record(session, "invite.new", user=user, message=row.id)
            return row

    async def _person(self, session: AsyncSession, user: str) -> db.User:
        person = await user_queries.get(session, user)
        if person is None:
            raise NotFound(f"User {user} does not exist")
        return person

    async def of(self, user: str) -> list[m.Invite]:
        """Return a user's invitations that are open.

        Raises:
            NotFound: there is no such user.
        """
        async with self._store.begin() as session:
            rows = await queries.of_user(session, await self._person(session, user))
        now = self._clock()
        return [
            m.Invite(id=row.id, user=user, created=row.created, expires=row.expires, by=row.by)
            for row in rows
            if row.expires > now
        ]

    @retried
    async def revoke(self, user: str, id: str) -> None:
        """Withdraw an invitation.

        Raises:
            NotFound: there is no such user, or no such invitation of theirs.
        """
        async with self._store.begin() as session:
            await serialize(session, queries.INVITES)
            rows = await queries.of_user(session, await self._person(session, user))
            row = next((row for row in rows if row.id == id), None)
            if row is None:
                raise NotFound(f"User {user} has no invitation {id} that is open")
            await session.delete(row)
            self._audit.record(session, "invite.revoked", user=user, message=id)


class Invites(InviteBook):
    """Takes their codes too.

    Args:
        store: the database.
        audit: the audit log.
        authenticator: who may come in.
        keys: adds the key.
        guesses: how often codes may be tried.
        door_key: the gateway's host key.
        clock: now.
    """

    def __init__(
        self,
        *,
        store: Store,
        audit: Audit,
        authenticator: Authenticator,
        keys: Keys,
        guesses: Guesses,
        door_key: DoorKey,
        clock: Clock,
    ) -> None:
        super().__init__(store=store, audit=audit, authenticator=authenticator, clock=clock)
        self._keys = keys
        self._guesses = guesses
        self._door_key = door_key

    async def claim(self, claim: m.InviteClaim) -> m.InviteOffer:
        """Say whose code it is; if that is confirmed, add the key and use the code up.

        Raises:
            BadRequest: a field is not base64, or the key is one too many.
            Forbidden: the proof does not prove it, or the code is none.
            Conflict: the user has this key already.
            TooMany: too many wrong codes were tried.
        """
        key = self._proven(claim)
        source = self._guesses.begin(claim.address)
        try:
            user = await self._claim(normal_code(claim.code), key, confirm=claim.confirm)
        except Forbidden:
            self._guesses.was_wrong(source)
            raise
        except BaseException:
            self._guesses.was_right(source)
            raise
        self._guesses.was_right(source)
        return m.InviteOffer(user=user, fingerprint=key.fingerprint, type=key.algorithm)

    def _proven(self, claim: m.InviteClaim) -> PublicKey:
        signed = decode_field(claim.signed, "signed")
        proof = claim_of_invite(
            claim.public_key, signed, decode_field(claim.signature, "signature")
        )
        vouched = self._door_key.signed(
            session_id_of(signed), decode_field(claim.door_signature, "door_signature")
        )
        if proof is None or not isinstance(proof.credential, PublicKey):
            raise Forbidden(UNPROVEN)
        if not proof.is_true() or not vouched:
            raise Forbidden(UNPROVEN)
        return proof.credential

    @retried
    async def _claim(self, code: str, key: PublicKey, *, confirm: bool) -> str:
        async with self._store.begin() as session:
            await serialize(session, queries.INVITES)
            row = await queries.get(session, digest(code)) if code else None
            if row is None or row.expires <= self._clock() or row.user.removing:
                raise Forbidden(WRONG)
            user = row.user.name
            if not self._authenticator.may_enter(user):
                raise Forbidden(WRONG)
            checked = self._keys.check(user, f"{key.bare_line} {COMMENT}")
            if confirm:
                origin.set(replace(origin.get(), actor=user))
                await self._keys.add_in(session, user, checked)
                await session.delete(row)
                message = f"{key.fingerprint} by invitation {row.id} of {row.by}"
                self._audit.record(session, "invite.used", user=user, message=message)
            return user
