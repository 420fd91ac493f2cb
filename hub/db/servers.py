"""Queries on servers."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.clock import Clock
from kworkspace.hub.db.models import Lease, Server, User
from kworkspace.hub.db.moment import moment

SERVERS = "servers"
"""For `serialize`: whoever counts them, makes one or deletes one does it alone."""

_PENDING = (ServerState.STARTING, ServerState.STOPPING)


async def get(session: AsyncSession, id: str) -> Server | None:
    """Return the server of this id, or None; locked until the transaction ends."""
    query = select(Server).where(Server.id == id).with_for_update(of=Server)
    return (await session.scalars(query)).one_or_none()


async def get_many(session: AsyncSession, ids: Collection[str]) -> dict[str, Server]:
    """Return the servers of these ids that there are; locked until the transaction ends."""
    # In one order for all hubs, so that no two wait for each other.
    query = select(Server).where(Server.id.in_(ids)).order_by(Server.id)
    found = await session.scalars(query.with_for_update(of=Server))
    return {server.id: server for server in found}


async def find(session: AsyncSession, user: User, name: str) -> Server | None:
    """Return a user's server by its name, or None; locked until the transaction ends."""
    query = select(Server).where(Server.user_id == user.id, Server.name == name)
    return (await session.scalars(query.with_for_update(of=Server))).one_or_none()


async def find_many(session: AsyncSession, keys: Collection[tuple[int, str]]) -> Sequence[Server]:
    """Return servers by their user's id and their name; locked until the transaction ends."""
    query = select(Server).where(tuple_(Server.user_id, Server.name).in_(keys))
    # In one order for all hubs, so that no two wait for each other.
    return (await session.scalars(query.order_by(Server.id).with_for_update(of=Server))).all()


async def of_user(session: AsyncSession, user: User) -> Sequence[Server]:
    """Return a user's servers; locked until the transaction ends."""
    query = select(Server).where(Server.user_id == user.id).with_for_update(of=Server)
    return (await session.scalars(query)).all()


async def taken(session: AsyncSession, slugs: Collection[str]) -> Sequence[str]:
    """Return which of these slugs some server has."""
    return (await session.scalars(select(Server.slug).where(Server.slug.in_(slugs)))).all()


async def count(session: AsyncSession, *, states: Sequence[ServerState]) -> int:
    """Return how many servers are in one of these states."""
    query = select(func.count()).select_from(Server).where(Server.state.in_(states))
    return (await session.scalars(query)).one()


async def count_to_start(session: AsyncSession) -> int:
    """Return how many servers are starting, or will when their stop is over."""
    pending = Server.state.in_(_PENDING)
    query = select(func.count()).select_from(Server).where(pending, Server.desired_running)
    return (await session.scalars(query)).one()


async def count_named(session: AsyncSession, user: User) -> int:
    """Return how many named servers a user has, the default one not counted."""
    query = select(func.count()).select_from(Server)
    query = query.where(Server.user_id == user.id, Server.name != "")
    return (await session.scalars(query)).one()


async def known(session: AsyncSession, ids: Collection[str]) -> Sequence[str]:
    """Return which of these ids are servers'."""
    return (await session.scalars(select(Server.id).where(Server.id.in_(ids)))).all()


async def pending(
    session: AsyncSession, prefix: str, holder: str, clock: Clock
) -> dict[str, float]:
    """Return the servers with which something is to be done, and how long others are at them.

    Args:
        session: the transaction.
        prefix: what the names of servers' leases begin with.
        holder: who asks.
        clock: this process's clock, for SQLite.

    Returns:
        By id: the seconds for which another hub's lease still holds, 0 or less if none does.
    """
    now = moment(session, clock)
    query = select(Server.id, Lease.expires, now)
    theirs = and_(Lease.name == literal(prefix) + Server.id, Lease.holder != holder)
    query = query.join(Lease, theirs, isouter=True)
    query = query.where(or_(Server.state.in_(_PENDING), Server.deleting))
    return {
        id: 0.0 if expires is None else (expires - at).total_seconds()
        for id, expires, at in await session.execute(query)
    }
