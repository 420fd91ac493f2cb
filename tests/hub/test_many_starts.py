"""Many starts at once share transactions, each of which costs a write to the disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
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
    begin, transactions = Store.begin, 0

    @asynccontextmanager
    async def counted(store: Store) -> AsyncIterator[AsyncSession]:
        nonlocal transactions
        transactions += 1
        async with begin(store) as session:
            yield session

    monkeypatch.setattr(Store, "begin", counted)
    rows = await asyncio.gather(*(parts.servers.start(name, "") for name in names))
    settled = await asyncio.gather(*(parts.servers.settle(row.id, 30) for row in rows))
    assert {row.state for row in settled} == {ServerState.READY}
    await parts.driver.look()
    # One for each request, the claim with it; of results and leases given back, most come together.
    assert MANY <= transactions < 2 * MANY
