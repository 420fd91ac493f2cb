"""What a transaction tells of itself, and that nothing gets past it."""

from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import CARRIED, RETURNED, Changes
from kworkspace.hub.db.store import Store
from tests.hub.clock import Clock

NOW = Clock().now


@pytest.mark.parametrize(
    "table", [*(kind.__table__ for kind in CARRIED.values()), db.group_members]
)
@pytest.mark.parametrize("statement", [insert, update, delete])
async def test_bulk_statements_are_refused(store: Store, table: Any, statement: Any) -> None:
    """The read model and the other hubs would not hear of them."""
    async with store.begin() as session:
        with pytest.raises(TypeError, match=f"a bulk statement on {table.name} would go past"):
            await session.execute(statement(table))


async def test_other_tables_may_be_changed_in_bulk(store: Store) -> None:
    async with store.begin() as session:
        await session.execute(insert(db.Lease).values(name="a", holder="us", expires=NOW))
        await session.execute(delete(db.Lease))


async def test_what_is_told(store: Store) -> None:
    told: list[Changes] = []
    store.on_commit = told.append
    alice = db.User(name="alice", created=NOW)
    group = db.Group(name="ml", users=[])
    async with store.begin() as session:
        session.add_all([alice, group, db.Event(at=NOW, action="", outcome="", actor="")])
    assert told[0].keys() == {("users", "1"), ("groups", "1")}
    async with store.begin() as session:
        kept = (await session.scalars(select(db.Group))).one()
        kept.users.append((await session.scalars(select(db.User))).one())
    assert told[1].keys() == {("groups", "1")}, "its members are part of a group"
    async with store.begin() as session:
        await session.delete((await session.scalars(select(db.User))).one())
    assert told[2].keys() == {("users", "1")}
    async with store.begin() as session:
        members = (await session.scalars(text("SELECT count(*) FROM group_members"))).one()
    assert members == 0
    assert len(told) == 3


async def test_an_update_may_return_what_it_changes(store: Store) -> None:
    told: list[Changes] = []
    store.on_commit = told.append
    async with store.begin() as session:
        session.add_all([db.User(name=name, created=NOW) for name in ("alice", "bob", "carol")])
    statement = update(db.User).where(db.User.name != "bob").values(admin=True).returning(db.User)
    async with store.begin() as session:
        changed = await session.scalars(statement, execution_options={RETURNED: True})
        assert {user.name for user in changed} == {"alice", "carol"}
    users = [item for item in told[1].saved if isinstance(item, db.User)]
    assert {(user.name, user.admin) for user in users} == {("alice", True), ("carol", True)}
