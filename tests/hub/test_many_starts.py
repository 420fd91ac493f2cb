"""Many starts at once share transactions, each of which costs a write to the disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db.store import Store
from tests.hub.db.test_store import user
from tests.hub.parts import Parts

MANY = 20


async def test_transactions_of_many_starts(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"user-{number}" for number in range(MANY)]
    async with parts.store.begin() as session:
        session.add_all(map(user, names))
        engine = session.get_bind()
    begin, transactions, statements = Store.begin, 0, 0

    @asynccontextmanager
    async def counted(store: Store) -> AsyncIterator[AsyncSession]:
        nonlocal transactions
        transactions += 1
        async with begin(store) as session:
            yield session

    @event.listens_for(engine, "before_cursor_execute")
    def count(*_args: object) -> None:
        nonlocal statements
        statements += 1

    monkeypatch.setattr(Store, "begin", counted)
    rows = await asyncio.gather(*(parts.servers.start(name, "") for name in names))
    settled = await asyncio.gather(*(parts.servers.settle(row.id, 30) for row in rows))
    assert {row.state for row in settled} == {ServerState.READY}
    for row in rows:
        await parts.idle(row.id)
    event.remove(engine, "before_cursor_execute", count)
    # One for all requests, the claims with them; results come in a few, the leases with them.
    assert 2 <= transactions < MANY
    # What is of each alone: that it is ready, and where.
    assert MANY < statements < 3 * MANY
