"""Queries on groups."""

from kworkspace.hub.db import groups as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    async with store.begin() as session:
        alice = db.User(name="alice", created=Clock().now)
        session.add_all([db.Group(name="ops", users=[]), db.Group(name="ml", users=[alice])])
    async with store.begin() as session:
        found = await queries.get(session, "ml")
        assert found is not None
        assert [user.name for user in found.users] == ["alice"]
        assert await queries.get(session, "ML") is None
