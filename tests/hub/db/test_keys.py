"""Queries on keys."""

from datetime import timedelta

from kworkspace.hub.db import keys as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    now = Clock().now
    async with store.begin() as session:
        alice, bob = db.User(name="alice", created=now), db.User(name="bob", created=now)
        for number, user in enumerate((alice, bob, alice)):
            when = now - timedelta(seconds=number)
            fingerprint = f"SHA256:{number}"
            session.add(db.SSHKey(user=user, fingerprint=fingerprint, line="", created=when))
    async with store.begin() as session:
        found = await queries.of_user(session, alice)
        assert [row.fingerprint for row in found] == ["SHA256:2", "SHA256:0"]
        assert await queries.get(session, found[0].id) is found[0]
        assert await queries.get(session, "another") is None
