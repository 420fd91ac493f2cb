"""Queries on SSH sessions."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.models import Server, Session, User


async def get(session: AsyncSession, id: str) -> Session | None:
    """Return the session of this id, or None."""
    return (await session.scalars(select(Session).where(Session.id == id))).one_or_none()


async def open_of_server(session: AsyncSession, server_id: str) -> Sequence[Session]:
    """Return the sessions that are open in a server."""
    query = select(Session).where(Session.server_id == server_id, Session.ended.is_(None))
    return (await session.scalars(query)).all()


async def count_open_by(session: AsyncSession, actor: str) -> int:
    """Return how many sessions somebody has open, be it in another's server."""
    query = select(func.count()).where(Session.actor == actor, Session.ended.is_(None))
    return (await session.scalars(query)).one()


async def open_of_gateway(session: AsyncSession, gateway: str) -> Sequence[Session]:
    """Return the sessions that are open at one gateway process."""
    query = select(Session).where(Session.gateway == gateway, Session.ended.is_(None))
    return (await session.scalars(query)).all()


async def open_of_user(session: AsyncSession, user: str) -> Sequence[Session]:
    """Return the open sessions of a user, and those of anybody in their servers."""
    query = select(Session).join(Session.server, isouter=True).join(Server.user, isouter=True)
    theirs = or_(Session.actor == user, User.name == user)
    return (await session.scalars(query.where(theirs, Session.ended.is_(None)))).all()


async def open_of_token(session: AsyncSession, token_id: str) -> Sequence[Session]:
    """Return the open tunnels that a token has opened."""
    query = select(Session).where(Session.token_id == token_id, Session.ended.is_(None))
    return (await session.scalars(query)).all()


async def open_all(session: AsyncSession) -> Sequence[Session]:
    """Return all open sessions."""
    return (await session.scalars(select(Session).where(Session.ended.is_(None)))).all()
