"""Queries on the audit log."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import Event


async def delete_before(session: AsyncSession, when: datetime) -> None:
    """Delete the rows of before."""
    await session.execute(delete(Event).where(Event.at < when))
