"""Queries on tokens."""

from datetime import timedelta

from kworkspace.hub.db import models as db
from kworkspace.hub.db import tokens as queries
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    now = Clock().now
    second = timedelta(seconds=1)
    async with store.begin() as session:
        alice, bob = db.User(name="alice", created=now), db.User(name="bob", created=now)
        for digest, user, expires in (
            ("a", alice, now),
            ("b", bob, now + second),
            ("c", None, None),
        ):
            session.add(db.APIToken(digest=digest, user=user, created=now, expires=expires))
        session.add_all(
            db.UsedChallenge(digest=text, expires=when)
            for text, when in (("old", now), ("new", now + second))
        )
    async with store.begin() as session:
        assert [row.digest for row in await queries.expired(session, now)] == ["a"]
        assert [row.digest for row in await queries.of_user(session, bob)] == ["b"]
        of_digests = await queries.of_digests(session, {"a", "c", "gone"})
        assert {row.digest for row in of_digests} == {"a", "c"}
        many = {f"{number}" for number in range(25_000)}
        assert [row.digest for row in await queries.of_digests(session, many | {"b"})] == ["b"]
        found = await queries.get(session, "b")
        assert found is not None
        assert found.user is not None
        assert found.user.name == "bob"
        assert await queries.get(session, "d") is None
        await queries.forget_expired_challenges(session, now)
        assert await session.get(db.UsedChallenge, "old") is None
        assert await session.get(db.UsedChallenge, "new") is not None
