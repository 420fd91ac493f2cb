"""Queries on invitations."""

from datetime import timedelta

from kworkspace.hub.db import invites as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    now = Clock().now
    async with store.begin() as session:
        alice, bob = db.User(name="alice", created=now), db.User(name="bob", created=now)
        for number, user in enumerate((alice, bob, alice)):
            when = now + timedelta(seconds=number)
            session.add(
                db.Invite(user=user, digest=f"{number}", by="ada", created=when, expires=when)
            )
    async with store.begin() as session:
        assert [row.digest for row in await queries.of_user(session, alice)] == ["0", "2"]
        await queries.forget_expired(session, now)
        assert [row.digest for row in await queries.of_user(session, alice)] == ["2"]
        assert await queries.get(session, "0") is None
        found = await queries.get(session, "1")
        assert found is not None
        assert found.user.name == "bob"
