"""Old rows of the audit log go, and no others."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from kworkspace.hub.db import events, models
from kworkspace.hub.db.store import Store

NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def test_delete_before(store: Store) -> None:
    async with store.begin() as session:
        for days in range(3):
            at = NOW - timedelta(days=days)
            session.add(models.Event(at=at, action=f"{days}", outcome="ok", actor="hub"))
    async with store.begin() as session:
        await events.delete_before(session, NOW - timedelta(days=1))
    async with store.begin() as session:
        left = (await session.scalars(select(models.Event.action))).all()
    assert sorted(left) == ["0", "1"]
