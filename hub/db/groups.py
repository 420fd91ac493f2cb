"""Queries on groups."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import Group


async def get(session: AsyncSession, name: str) -> Group | None:
    """Return the group of this name with its users, or None."""
    return (await session.scalars(select(Group).where(Group.name == name))).one_or_none()
