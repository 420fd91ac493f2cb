"""Transactions: all or nothing, the read model told of what is committed, one line on trouble."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import Changes
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock


def user(name: str) -> db.User:
    return db.User(name=name, created=Clock().now)


async def names(store: Store) -> list[str]:
    async with store.begin() as session:
        return sorted((await session.scalars(select(db.User.name))).all())


async def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    told: list[Changes] = []
    store.on_commit = told.append

    async def fail() -> None:
        async with store.begin() as session:
            session.add(user("alice"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert (await names(store), told) == ([], [])
    async with store.begin() as session:
        session.add(user("bob"))
    assert await names(store) == ["bob"]
    assert [getattr(item, "name", None) for item in told[0].saved] == ["bob"]


async def test_violated_constraints_come_through(store: Store) -> None:
    async with store.begin() as session:
        session.add(user("alice"))
    with pytest.raises(IntegrityError):
        async with store.begin() as session:
            session.add(user("alice"))
    assert await names(store) == ["alice"]


async def test_transactions_at_once_queue(store: Store) -> None:
    """Those that must not overlap say so; with SQLite none do."""

    async def add(name: str) -> None:
        async with store.begin() as session:
            await serialize(session, "counting")
            before = len((await session.scalars(select(db.User.name))).all())
            await asyncio.sleep(0)
            session.add(user(f"{name}{before}"))

    await asyncio.gather(*(add("user") for _ in range(30)))
    assert await names(store) == sorted(f"user{number}" for number in range(30))
