"""Queries on API tokens and used challenges."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import APIToken, UsedChallenge, User

REVOCATION = "revocation"  # whoever deletes tokens does it alone (`serialize`)

_MOST_PARAMETERS = 10_000  # in one statement; SQLite takes 32,766


async def get(session: AsyncSession, digest: str) -> APIToken | None:
    """Return the token with this SHA-256, or None."""
    return (await session.scalars(select(APIToken).where(APIToken.digest == digest))).one_or_none()


async def of_digests(session: AsyncSession, digests: Collection[str]) -> Sequence[APIToken]:
    """Return the tokens with these SHA-256, those that there still are."""
    found: list[APIToken] = []
    wanted = sorted(digests)
    for start in range(0, len(wanted), _MOST_PARAMETERS):
        some = wanted[start : start + _MOST_PARAMETERS]
        found += (await session.scalars(select(APIToken).where(APIToken.digest.in_(some)))).all()
    return found


async def of_user(session: AsyncSession, user: User) -> Sequence[APIToken]:
    """Return a user's tokens."""
    return (await session.scalars(select(APIToken).where(APIToken.user_id == user.id))).all()


async def of_service(session: AsyncSession, service: str) -> Sequence[APIToken]:
    """Return a service's tokens."""
    return (await session.scalars(select(APIToken).where(APIToken.service == service))).all()


async def expired(session: AsyncSession, now: datetime) -> Sequence[APIToken]:
    """Return the tokens that have expired."""
    return (await session.scalars(select(APIToken).where(APIToken.expires <= now))).all()


async def forget_expired_challenges(session: AsyncSession, now: datetime) -> None:
    """Delete the used nonces that nobody could use again anyway."""
    await session.execute(delete(UsedChallenge).where(UsedChallenge.expires <= now))
