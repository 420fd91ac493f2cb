"""Queries on leases; see `hub.leases` for what they mean."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Interval, delete, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.clock import Clock
from kworkspace.hub.db.models import Lease
from kworkspace.hub.db.moment import is_shared, moment


async def claim(
    session: AsyncSession,
    names: Collection[str],
    holder: str,
    *,
    length: timedelta,
    clock: Clock,
) -> Collection[str]:
    """Take leases that are nobody's, over, or this holder's already; return which are ours now.

    One statement, so that of two who claim at once one simply does not get it.
    """
    insert = postgresql.insert if is_shared(session) else sqlite.insert
    now, expires = moment(session, clock), _later(session, clock, length)
    # In one order for all hubs, so that no two wait for each other.
    rows = [{"name": name, "holder": holder, "expires": expires} for name in sorted(names)]
    statement = insert(Lease).values(rows)
    statement = statement.on_conflict_do_update(
        index_elements=[Lease.name],
        set_={"holder": holder, "expires": statement.excluded.expires},
        where=or_(Lease.holder == holder, Lease.expires <= now),
    )
    return set(await session.scalars(statement.returning(Lease.name)))


async def held(session: AsyncSession, names: Collection[str], holder: str) -> Collection[str]:
    """Return which leases a holder has, over or not; locked until the transaction ends."""
    query = select(Lease.name).where(Lease.name.in_(names), Lease.holder == holder)
    return set(await session.scalars(query.order_by(Lease.name).with_for_update()))


async def renew(
    session: AsyncSession, holder: str, *, length: timedelta, clock: Clock
) -> Sequence[str]:
    """Renew all leases of one holder in one statement; return their names."""
    expires = _later(session, clock, length)
    statement = update(Lease).where(Lease.holder == holder).values(expires=expires)
    return (await session.scalars(statement.returning(Lease.name))).all()


async def holders(session: AsyncSession, names: Collection[str]) -> dict[str, str]:
    """Return who has these leases, by name; not those that nobody has."""
    rows = await session.execute(select(Lease.name, Lease.holder).where(Lease.name.in_(names)))
    return {row.name: row.holder for row in rows}


async def alive(session: AsyncSession, prefix: str, *, clock: Clock) -> Sequence[str]:
    """Return the names of the leases that begin so and are not over."""
    query = select(Lease.name).where(
        Lease.name.startswith(prefix, autoescape=True), Lease.expires > moment(session, clock)
    )
    return (await session.scalars(query)).all()


async def release(session: AsyncSession, names: Collection[str], holder: str) -> Collection[str]:
    """Give leases back, those of them that are still this holder's; return which were."""
    statement = delete(Lease).where(Lease.name.in_(names), Lease.holder == holder)
    return set(await session.scalars(statement.returning(Lease.name)))


async def release_all(session: AsyncSession, holder: str) -> None:
    """Give all leases of one holder back."""
    await session.execute(delete(Lease).where(Lease.holder == holder))


async def delete_over(session: AsyncSession, *, age: timedelta, clock: Clock) -> None:
    """Delete what has been over for a while: of hubs that were killed, for what is gone."""
    await session.execute(delete(Lease).where(Lease.expires < _later(session, clock, -age)))


async def clear(session: AsyncSession) -> None:
    """Void all leases: for the one hub that holds SQLite's lock file, at its start."""
    await session.execute(delete(Lease))


def _later(session: AsyncSession, clock: Clock, length: timedelta) -> datetime | object:
    return (
        moment(session, clock) + literal(length, Interval())
        if is_shared(session)
        else clock() + length
    )
