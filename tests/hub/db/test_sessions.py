"""Queries on sessions."""

from kworkspace.hub.db import models as db
from kworkspace.hub.db import sessions as queries
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


async def test_queries(store: Store) -> None:
    now = Clock().now
    async with store.begin() as session:
        alice = db.User(name="alice", created=now)
        server = db.Server(user=alice, name="", slug="alice", created=now)
        other = db.Server(user=alice, name="gpu", slug="gpu", created=now)
        session.add_all([server, other])
        await session.flush()
        for id, where, actor, gateway, ended in (
            ("a", server.id, "alice", "gw-1", None),
            ("b", other.id, "ada", "gw-1", None),
            ("c", server.id, "alice", "gw-2", None),
            ("d", server.id, "alice", "gw-1", now),
            ("e", None, "ada", "gw-2", None),
        ):
            session.add(
                db.Session(
                    id=id,
                    server_id=where,
                    actor=actor,
                    gateway=gateway,
                    address="",
                    client_version="",
                    key_fingerprint="",
                    proof=id,
                    started=now,
                    last_report=now,
                    last_activity=now,
                    ended=ended,
                )
            )
    async with store.begin() as session:
        assert {row.id for row in await queries.open_of_server(session, server.id)} == {"a", "c"}
        assert {row.id for row in await queries.open_of_gateway(session, "gw-1")} == {"a", "b"}
        assert {row.id for row in await queries.open_all(session)} == {"a", "b", "c", "e"}
        assert {row.id for row in await queries.open_of_user(session, "alice")} == {"a", "b", "c"}
        assert {row.id for row in await queries.open_of_user(session, "ada")} == {"b", "e"}
        found = await queries.get(session, "d")
        assert found is not None
        assert found.server is not None
        assert found.server.user.name == "alice"
        assert await queries.get(session, "unknown") is None
