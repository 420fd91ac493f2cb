"""Queries on the audit log."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import Event

Row = dict[str, Any]
"""The columns of an event, by name."""


async def add_all(session: AsyncSession, rows: Sequence[Row]) -> None:
    """Add rows, in one statement, if there are any."""
    if rows:
        await session.execute(insert(Event), rows)


async def delete_before(session: AsyncSession, when: datetime) -> None:
    """Delete the rows of before."""
    await session.execute(delete(Event).where(Event.at < when))
