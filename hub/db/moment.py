"""Now, by the clock that all hubs on one database share.

Postgres has one for everybody; with SQLite there is one hub, whose own clock is as good, and which
a test can set. For what hubs compare with each other: leases, and reports of sessions.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.clock import Clock
from kworkspace.hub.db.models import UTCDateTime


def is_shared(session: AsyncSession) -> bool:
    """Whether other hubs may be on this database."""
    return session.get_bind().dialect.name == "postgresql"


def moment(session: AsyncSession, clock: Clock) -> ColumnElement[datetime]:
    """Return an SQL expression: now, also where the transaction has waited for a lock.

    Args:
        session: the transaction.
        clock: this process's clock, for SQLite.
    """
    if is_shared(session):
        return func.clock_timestamp(type_=UTCDateTime())
    return literal(clock(), UTCDateTime())


async def now(session: AsyncSession, clock: Clock) -> datetime:
    """Return it."""
    return (
        clock()
        if not is_shared(session)
        else (await session.scalars(select(moment(session, clock)))).one()
    )
