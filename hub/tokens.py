"""API tokens: made here, shown once, kept as their SHA-256."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import NotFound
from kworkspace.cli.client.models import NewToken
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import invites as invite_queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db import tokens as queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import ReadModel, TokenRow, digest

PREFIX = "kws_"  # so that a scanner of repositories and logs recognises one


def new_secret() -> str:
    """Return a new token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


class Tokens:
    """Issues and revokes tokens.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        clock: now.
    """

    def __init__(self, *, store: Store, readmodel: ReadModel, audit: Audit, clock: Clock) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._clock = clock

    def find(self, secret: str) -> TokenRow | None:
        """Return the token that this secret is, unless it has expired."""
        return self._readmodel.token(secret, self._clock())

    async def issue(
        self,
        session: AsyncSession,
        user: str,
        *,
        note: str,
        expires_in: int | None,
        key_fingerprint: str | None = None,
        not_after: datetime | None = None,
    ) -> NewToken:
        """Make a token for a user, in the caller's transaction.

        Args:
            session: the transaction.
            user: whose it is.
            note: what it is for, shown in lists.
            expires_in: seconds; None never expires.
            key_fingerprint: the key that signed for it.
            not_after: when what allows it ends, at the latest; None: never.

        Raises:
            NotFound: no such user.
        """
        person = await user_queries.get(session, user)
        if person is None or person.removing:
            raise NotFound(f"User {user} does not exist")
        secret = new_secret()
        now = self._clock()
        if not_after is not None:
            left = max(1, int((not_after - now).total_seconds()))
            expires_in = left if expires_in is None else min(expires_in, left)
        token = db.APIToken(
            digest=digest(secret),
            user=person,
            note=note,
            key_fingerprint=key_fingerprint,
            created=now,
            expires=None if expires_in is None else now + timedelta(seconds=expires_in),
        )
        session.add(token)
        await session.flush()
        self._audit.record(session, "token.new", user=user, message=note)
        return NewToken(token=secret, id=token.id, user=user, expires_in=expires_in, note=note)

    async def issue_for_user(
        self, user: str, *, note: str, expires_in: int | None, by: TokenRow | None = None
    ) -> NewToken:
        """Make a token for a user, in a transaction of its own.

        Args:
            user: whose it is.
            note: what it is for.
            expires_in: seconds; None never expires.
            by: the token that asks for it; the new one does not outlive it, nor the key that
                made it, or a stolen token would be good for ever.

        Raises:
            NotFound: no such user.
        """
        async with self._store.begin() as session:
            return await self.issue(
                session,
                user,
                note=note,
                expires_in=expires_in,
                key_fingerprint=by.key_fingerprint if by and by.user == user else None,
                not_after=by.expires if by else None,
            )

    @retried
    async def ensure_service(self, service: str, secret: str, *, alone: bool = False) -> None:
        """Make a service's token known; it must be in the database before the service uses it.

        Args:
            service: whose it is.
            secret: the token.
            alone: end the ones that it had before: an admin has changed it.
        """
        async with self._store.begin() as session:
            await serialize(session, queries.REVOCATION)  # hubs that start at once too
            if alone:
                for row in await queries.of_service(session, service):
                    if row.digest != digest(secret):
                        await session.delete(row)
                        self._audit.record(
                            session, "token.revoked", message=f"of the service {service}"
                        )
            if await queries.get(session, digest(secret)) is None:
                session.add(
                    db.APIToken(
                        digest=digest(secret),
                        user=None,
                        service=service,
                        note="made by the hub for its service",
                        created=self._clock(),
                    )
                )
                self._audit.record(session, "token.new", message=f"for the service {service}")

    async def revoke(self, token: TokenRow) -> None:
        """End a token."""
        async with self._store.begin() as session:
            await serialize(session, queries.REVOCATION)
            row = await queries.get(session, token.digest)
            if row is not None:
                await session.delete(row)
                self._audit.record(session, "token.revoked", user=token.user)

    async def purge(self) -> None:
        """Delete what has expired: tokens, used challenges, invitations."""
        now = self._clock()
        async with self._store.begin() as session:
            await serialize(session, queries.REVOCATION)
            for row in await queries.expired(session, now):
                await session.delete(row)
            await queries.forget_expired_challenges(session, now)
            await invite_queries.forget_expired(session, now)
