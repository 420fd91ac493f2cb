"""The public keys that the database keeps; those of other sources are shown and changed there.

Adding gives a way in, so the line is read as strictly as one of the configuration. Removing takes
with it, in one transaction, the tokens that the key made; sessions and running workspaces follow
at once (`consequences`), on every hub that hears of it.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.authenticators.authorized_keys import AuthorizedKey, parse_authorized_key
from kworkspace.authenticators.base import Authenticator, ListedKey
from kworkspace.cli.client.errors import BadRequest, Conflict, NotFound
from kworkspace.cli.client.models import Key
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import keys as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db import tokens as token_queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import KeyRow, ReadModel

MOST_KEYS = 100
MOST_COMMENT = 255


class Keys:
    """Lists, adds and removes keys.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        authenticator: knows the keys of all sources.
        clock: now.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        authenticator: Authenticator,
        clock: Clock,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._authenticator = authenticator
        self._clock = clock

    def of(self, user: str) -> list[Key]:
        """Return a user's keys of all sources; those of the database with their ids.

        Raises:
            NotFound: there is no such user.
        """
        if self._readmodel.user(user) is None:
            raise NotFound(f"User {user} does not exist")
        rows = {row.fingerprint: row for row in self._readmodel.keys_of(user)}
        return [
            _view(key, rows.get(key.fingerprint) if key.source == "database" else None)
            for key in self._authenticator.keys_of(user)
        ]

    async def add(self, user: str, line: str) -> Key:
        """Add a key to those that the database keeps.

        Args:
            user: whose.
            line: as in an authorized_keys file.

        Raises:
            NotFound: there is no such user.
            BadRequest: it is no key, one that is not accepted or has expired, or one too many.
            Conflict: the user has it already.
        """
        key = self.check(user, line)
        row = await self._add(user, key)
        return Key(
            id=row.id,
            fingerprint=row.fingerprint,
            type=key.algorithm,
            comment=row.comment,
            source="database",
            options=key.options,
            created=row.created,
            expires=key.expires,
        )

    def check(self, user: str, line: str) -> AuthorizedKey:
        """Read a key that is to be added.

        Raises:
            BadRequest: it is no key, or one that is not accepted or has expired.
            Conflict: the user has it already.
        """
        key = parse_authorized_key(line, "key")
        if key.expires is not None and key.expires <= self._clock():
            raise BadRequest("key: its expiry-time has passed")
        for known in self._authenticator.keys_of(user):
            if known.fingerprint == key.fingerprint:
                raise Conflict(_known(user, known.source))
        return key

    @retried
    async def _add(self, user: str, key: AuthorizedKey) -> db.SSHKey:
        async with self._store.begin() as session:
            return await self.add_in(session, user, key)

    async def add_in(self, session: AsyncSession, user: str, key: AuthorizedKey) -> db.SSHKey:
        """Add a key that was checked, in the caller's transaction; raises as `add` does."""
        await serialize(session, f"keys of {user}")
        person = await user_queries.get(session, user)
        if person is None:
            raise NotFound(f"User {user} does not exist")
        if person.removing:
            raise Conflict(f"User {user} is being removed")
        kept = await queries.of_user(session, person)
        if key.fingerprint in {row.fingerprint for row in kept}:
            raise Conflict(_known(user, "database"))
        if len(kept) >= MOST_KEYS:
            raise BadRequest(
                f"key: {user} has {MOST_KEYS} keys, which is the limit: remove one first"
            )
        row = db.SSHKey(
            user=person,
            fingerprint=key.fingerprint,
            line=key.line,
            comment=key.comment[:MOST_COMMENT],
            created=self._clock(),
        )
        session.add(row)
        await session.flush()
        self._audit.record(session, "key.new", user=user, message=key.fingerprint)
        return row

    async def remove(self, user: str, id: str) -> None:
        """Remove a key of the database, with the tokens that it made.

        Raises:
            NotFound: the user has no such key in the database.
        """
        row = next((row for row in self._readmodel.keys_of(user) if row.id == id), None)
        if row is None:
            raise NotFound(
                f"User {user} has no key {id} in the database; keys of the configuration or of a"
                " directory are removed there"
            )
        elsewhere = {
            key.fingerprint for key in self._authenticator.keys_of(user) if key.source != "database"
        }
        await self._remove(user, row, with_tokens=row.fingerprint not in elsewhere)

    @retried
    async def _remove(self, user: str, seen: KeyRow, *, with_tokens: bool) -> None:
        async with self._store.begin() as session:
            await serialize(session, token_queries.REVOCATION)
            row = await queries.get(session, seen.id)
            if row is None:
                raise NotFound(f"User {user} has no key {seen.id} any more")
            if with_tokens:
                await self._revoke(session, row)
            await session.delete(row)
            self._audit.record(session, "key.removed", user=user, message=row.fingerprint)

    async def _revoke(self, session: AsyncSession, row: db.SSHKey) -> None:
        for token in await token_queries.of_user(session, row.user):
            if token.key_fingerprint == row.fingerprint:
                await session.delete(token)
                self._audit.record(
                    session, "token.revoked", user=row.user.name, message="its key is removed"
                )


def _known(user: str, source: str) -> str:
    where = {"database": "already", "directory": "by the directory of keys"}
    return f"key: {user} has this key {where.get(source, f'by the {source}')}"


def _view(key: ListedKey, row: KeyRow | None) -> Key:
    return Key(
        id=None if row is None else row.id,
        fingerprint=key.fingerprint,
        type=key.line.partition(" ")[0],
        comment=key.comment,
        source=key.source,
        options=key.options,
        created=None if row is None else row.created,
        expires=key.expires,
    )
