"""What a transaction changed, collected from the ORM as it writes.

The read model and the journal of the other hubs live on it, so nothing may go around it: a bulk
statement on a table that they carry is refused, because the ORM does not tell which rows it met,
but for an UPDATE that returns them (`RETURNED`). What the database itself deletes with a user,
the read model forgets with the user.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Delete, Insert, Result, Update, event
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as SyncSession

from kworkspace.hub.db import models as db

Carried = db.User | db.Server | db.APIToken | db.SSHKey | db.Group

CARRIED: dict[str, type[Carried]] = {
    kind.__tablename__: kind for kind in (db.User, db.Server, db.APIToken, db.SSHKey, db.Group)
}
"""The tables that the read model has, in an order in which rows refer to earlier ones."""

_CLOSED_TO_BULK = {*CARRIED, db.group_members.name}

RETURNED = "returned"
"""An execution option: an UPDATE returns all that it changes, as objects, with their new values."""

Key = tuple[str, str]
"""A table and a primary key, as text."""


@dataclass(slots=True)
class Changes:
    """What one transaction changed.

    Attributes:
        saved: objects that were added or changed, with their committed values.
        deleted: objects that are gone.
        gone: what another hub has deleted, as table and primary key.
        everything: `saved` is all that there is; what is not in it is gone.
    """

    saved: list[object] = field(default_factory=list)
    deleted: list[object] = field(default_factory=list)
    gone: list[Key] = field(default_factory=list)
    everything: bool = False

    def keys(self) -> set[Key]:
        """Return the rows that the read model has of what was saved and deleted."""
        items = (*self.saved, *self.deleted)
        return {key_of(item) for item in items if isinstance(item, Carried)}


def key_of(item: object) -> Key:
    """Return the key of a row that the read model has."""
    assert isinstance(item, Carried)
    return item.__tablename__, str(item.id)


OnCommit = Callable[[Changes], None]


def collect(session: SyncSession, changes: Changes) -> None:
    """Have a session write down what it flushes."""

    @event.listens_for(session, "after_flush")
    def after_flush(flushed: SyncSession, _context: Any) -> None:
        changes.saved.extend(flushed.new)
        changes.saved.extend(flushed.dirty)
        changes.deleted.extend(flushed.deleted)

    @event.listens_for(session, "do_orm_execute")
    def before_statement(state: ORMExecuteState) -> Result[Any] | None:
        statement = state.statement
        if not isinstance(statement, Insert | Update | Delete):
            return None
        table = getattr(statement.table, "name", "")
        if table not in _CLOSED_TO_BULK:
            return None
        if not isinstance(statement, Update) or not state.execution_options.get(RETURNED):
            raise TypeError(
                f"a bulk statement on {table} would go past the read model: change the objects"
            )
        result = state.invoke_statement().freeze()
        changes.saved.extend(result().scalars())
        return result()
