"""Queries on leases; what they mean is tested in `hub/test_leases.py`."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kworkspace.hub.clock import utc_now
from kworkspace.hub.db import leases as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db.store import Store

LENGTH = timedelta(seconds=30)
OVER = timedelta(seconds=-1)


@pytest.fixture
async def some(store: Store) -> None:
    """Leases of two holders, one of them over."""
    async with store.begin() as session:
        for name, holder, length in (
            ("a", "us", OVER),
            ("b", "us", LENGTH),
            ("c", "them", LENGTH),
            ("a_c", "them", LENGTH),
        ):
            assert await queries.claim(session, [name], holder, length=length, clock=utc_now)


async def everything(store: Store) -> dict[str, str]:
    async with store.begin() as session:
        return {row.name: row.holder for row in await session.scalars(select(db.Lease))}


async def claim(store: Store, names: str, holder: str) -> str:
    """Claim leases of one letter each, and return those that were free."""
    async with store.begin() as session:
        got = await queries.claim(session, [*names], holder, length=LENGTH, clock=utc_now)
    return "".join(sorted(got))


@pytest.mark.usefixtures("some")
async def test_claim(store: Store) -> None:
    assert not await claim(store, "b", "them")
    assert await claim(store, "b", "us")
    assert await claim(store, "a", "them")
    assert not await claim(store, "a", "us")
    assert await claim(store, "dcba", "us") == "bd"
    async with store.begin() as session:
        assert await queries.held(session, ["a", "b", "c", "x"], "them") == {"a", "c"}


@pytest.mark.usefixtures("some")
async def test_renew(store: Store) -> None:
    async with store.begin() as session:
        before = await queries.alive(session, "", clock=utc_now)
        renewed = await queries.renew(session, "us", length=LENGTH, clock=utc_now)
        assert sorted(renewed) == ["a", "b"]
        assert set(await queries.alive(session, "", clock=utc_now)) - set(before) == {"a"}
        assert await queries.alive(session, "a_", clock=utc_now) == ["a_c"]
        assert await queries.holders(session, ["a", "c", "x"]) == {"a": "us", "c": "them"}


@pytest.mark.usefixtures("some")
async def test_release(store: Store) -> None:
    async with store.begin() as session:
        await queries.release(session, ["b", "c", "x"], "us")
        await queries.delete_over(session, age=timedelta(seconds=60), clock=utc_now)
    assert await everything(store) == {"a": "us", "c": "them", "a_c": "them"}
    async with store.begin() as session:
        await queries.delete_over(session, age=timedelta(), clock=utc_now)
    assert await everything(store) == {"c": "them", "a_c": "them"}
    async with store.begin() as session:
        await queries.clear(session)
    assert await everything(store) == {}
