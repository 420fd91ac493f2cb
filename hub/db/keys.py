"""Queries on the public keys that the database keeps."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import SSHKey, User


async def of_user(session: AsyncSession, user: User) -> Sequence[SSHKey]:
    """Return a user's keys, oldest first."""
    query = select(SSHKey).where(SSHKey.user_id == user.id).order_by(SSHKey.created, SSHKey.id)
    return (await session.scalars(query)).all()


async def get(session: AsyncSession, id: str) -> SSHKey | None:
    """Return the key of this id, or None."""
    return (await session.scalars(select(SSHKey).where(SSHKey.id == id))).one_or_none()
