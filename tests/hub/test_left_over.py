"""Work under a lease of ours that nobody does, or that is given back before all is done."""

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db import servers as queries
from tests.hub.parts import Parts

READY = ServerState.READY


async def test_what_was_committed_and_not_answered_is_taken_up(parts: Parts) -> None:
    """Who asked heard that it is not known whether it was done, and nobody was told to do it."""
    row = await parts.servers.ensure("alice", "")
    async with parts.store.begin() as session:
        server = await queries.get(session, row.id)
        assert server is not None
        server.state, server.desired_running = ServerState.STARTING, True
        await parts.driver.claim_in(session, row.id)
    await parts.driver.look()
    assert (await parts.settled()).state is READY


async def test_what_is_unsure_of_a_start_is_looked_at_after_it(parts: Parts) -> None:
    """Its lease is given back with the news that it is ready, and claimed anew."""
    row = await parts.servers.ensure("alice", "")
    async with parts.store.begin() as session:
        server = await queries.get(session, row.id)
        assert server is not None
        server.state, server.desired_running = ServerState.STARTING, True
    parts.driver.check(row.id)
    assert (await parts.settled()).state is READY
    assert parts.spawner.calls == [("start", "alice"), ("refresh", "alice")]
