"""Queries on users."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.changes import RETURNED
from kworkspace.hub.db.models import Server, User


async def names(session: AsyncSession) -> Sequence[str]:
    """Return the names of all users."""
    return (await session.scalars(select(User.name))).all()


async def get(session: AsyncSession, name: str) -> User | None:
    """Return the user of this name, or None."""
    return (await session.scalars(select(User).where(User.name == name))).one_or_none()


async def of_names(session: AsyncSession, names: Collection[str]) -> Sequence[User]:
    """Return the users of these names, those that there are, by name."""
    query = select(User).where(User.name.in_(names)).order_by(User.name)
    return (await session.scalars(query)).all()


async def get_by_id(session: AsyncSession, id: int) -> User | None:
    """Return the user of this id, whatever their name is now, or None."""
    return (await session.scalars(select(User).where(User.id == id))).one_or_none()


async def note_activity(session: AsyncSession, people: Collection[User], at: datetime) -> None:
    """Write when users were active last, in one statement."""
    query = update(User).where(User.id.in_({person.id for person in people}))
    query = query.values(last_activity=at, version=User.version + 1).returning(User)
    options = {RETURNED: True, "populate_existing": True, "synchronize_session": False}
    await session.execute(query, execution_options=options)


async def delete_if_empty(session: AsyncSession, user: User) -> bool:
    """Delete a user who is to go, once they have no servers any more; say whether it was done.

    Who deletes a server calls it in the same transaction.
    """
    if not user.removing:
        return False
    await session.flush()
    if (await session.scalars(select(exists().where(Server.user_id == user.id)))).one():
        return False
    await session.delete(user)
    return True
