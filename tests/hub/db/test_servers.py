"""Queries on servers."""

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock

STARTING, STOPPING = ServerState.STARTING, ServerState.STOPPING
READY, STOPPED = ServerState.READY, ServerState.STOPPED


async def test_queries(store: Store) -> None:
    now = Clock().now
    async with store.begin() as session:
        alice = db.User(name="alice", created=now)
        bob = db.User(name="bob", created=now)
        session.add_all([alice, bob])
        for name, state, wanted in (
            ("", READY, True),
            ("gpu", STARTING, True),
            ("cpu", STOPPING, False),
            ("again", STOPPING, True),
            ("off", STOPPED, False),
        ):
            row = db.Server(user=alice, name=name, slug=f"a-{name}", created=now)
            row.state, row.desired_running = state, wanted
            session.add(row)
    async with store.begin() as session:
        assert await queries.count(session, states=(READY, STOPPING)) == 3
        assert await queries.count(session, states=()) == 0
        assert await queries.count_to_start(session) == 2
        assert await queries.count_named(session, alice) == 4
        assert await queries.count_named(session, bob) == 0
        assert await queries.taken(session, ["a-gp", "a-gpu"]) == ["a-gpu"]
        keys = [(alice.id, "gpu"), (alice.id, "tpu"), (bob.id, "off"), (alice.id, "off")]
        several = await queries.find_many(session, keys)
        assert {server.name for server in several} == {"gpu", "off"}
        found = await queries.find(session, alice, "gpu")
        assert found is not None
        assert await queries.get(session, found.id) is found
        assert await queries.find(session, bob, "gpu") is None
        assert await queries.get(session, "unknown") is None
