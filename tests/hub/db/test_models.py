"""What the columns keep."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_datetimes_come_back_in_utc(store: Store) -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    async with store.begin() as session:
        session.add(db.User(name="alice", created=berlin, last_activity=None))
    async with store.begin() as session:
        user = (await session.scalars(select(db.User))).one()
        assert user.created == NOW
        assert user.created.tzinfo is UTC
        assert user.last_activity is None
        kept = (await session.scalars(text("SELECT created FROM users"))).one()
        assert str(kept).startswith("2030-01-02 03:04:05.678901"), "it is in UTC"


async def test_naive_datetimes_are_refused(store: Store) -> None:
    with pytest.raises(StatementError, match="naive datetime"):
        async with store.begin() as session:
            session.add(db.User(name="alice", created=NOW.replace(tzinfo=None)))


async def test_states_are_kept_as_their_words(store: Store) -> None:
    async with store.begin() as session:
        user = db.User(name="alice", created=NOW)
        session.add(db.Server(user=user, name="", slug="alice", created=NOW))
    async with store.begin() as session:
        server = (await session.scalars(select(db.Server))).one()
        assert (server.state, server.generation, server.options) == (ServerState.STOPPED, 0, {})
        assert server.user.name == "alice"
        assert (await session.scalars(text("SELECT state FROM servers"))).one() == "stopped"
