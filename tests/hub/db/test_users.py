"""Queries on users."""

from datetime import timedelta

from kworkspace.hub.db import models as db
from kworkspace.hub.db import users as queries
from kworkspace.hub.db.changes import Changes, key_of
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    async with store.begin() as session:
        session.add_all(db.User(name=name, created=Clock().now) for name in ("bob", "alice"))
    async with store.begin() as session:
        found = await queries.get(session, "bob")
        assert found is not None
        assert found.admin is False
        assert await queries.get(session, "Bob") is None
        assert set(await queries.names(session)) == {"alice", "bob"}
        assert await queries.of_names(session, {"bob", "nobody"}) == [found]
        assert await queries.get_by_id(session, found.id) is found
        assert await queries.get_by_id(session, found.id + 5) is None


async def test_activity_is_a_change_like_any_other(store: Store) -> None:
    now, later = Clock().now, Clock().now + timedelta(hours=1)
    async with store.begin() as session:
        session.add_all(db.User(name=name, created=now) for name in ("alice", "bob", "carol"))
    told: list[Changes] = []
    store.on_commit = told.append
    async with store.begin() as session:
        people = await queries.of_names(session, {"alice", "carol"})
        await queries.note_activity(session, people, later)
        assert [(user.last_activity, user.version) for user in people] == [(later, 2)] * 2
    assert {key_of(item) for item in told[0].saved} == {key_of(user) for user in people}
    async with store.begin() as session:
        rows = await queries.of_names(session, {"alice", "bob", "carol"})
        assert [row.last_activity for row in rows] == [later, None, later]


async def test_who_is_to_go_goes_with_the_last_server(store: Store) -> None:
    now = Clock().now
    async with store.begin() as session:
        alice = db.User(name="alice", created=now)
        server = db.Server(user=alice, name="", slug="alice", created=now)
        session.add(server)
    async with store.begin() as session:
        found, server = await session.merge(alice), await session.merge(server)
        assert not await queries.delete_if_empty(session, found), "not to go"
        found.removing = True
        assert not await queries.delete_if_empty(session, found), "they have a server"
        await session.delete(server)
        assert await queries.delete_if_empty(session, found)
    async with store.begin() as session:
        assert await queries.get(session, "alice") is None
