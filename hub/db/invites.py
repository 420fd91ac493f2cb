"""Queries on invitations."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import Invite, User

INVITES = "invites"  # whoever uses one up does it alone (`serialize`)


async def get(session: AsyncSession, digest: str) -> Invite | None:
    """Return the invitation with this SHA-256, or None."""
    return (await session.scalars(select(Invite).where(Invite.digest == digest))).one_or_none()


async def of_user(session: AsyncSession, user: User) -> Sequence[Invite]:
    """Return a user's invitations, oldest first, those too that have expired."""
    query = select(Invite).where(Invite.user_id == user.id).order_by(Invite.created, Invite.id)
    return (await session.scalars(query)).all()


async def forget_expired(session: AsyncSession, now: datetime) -> None:
    """Delete those that have expired."""
    await session.execute(delete(Invite).where(Invite.expires <= now))
