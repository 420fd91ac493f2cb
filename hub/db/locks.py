"""Lets one transaction of a kind run at a time, on whichever hub.

For what rows and their versions do not keep apart: a limit that is counted, a row that is made if
there is none.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('kworkspace:' || :name, 0))")


async def serialize(session: AsyncSession | AsyncConnection, name: str) -> None:
    """Wait until no other transaction is in what has this name; ours is until it ends.

    To be called before what depends on it is read. With SQLite there is nothing to do: its
    transactions do not overlap (BEGIN IMMEDIATE).

    Args:
        session: the transaction.
        name: a word for what must not be done twice at once.
    """
    bind = session if isinstance(session, AsyncConnection) else session.get_bind()
    if bind.dialect.name == "postgresql":
        await session.execute(_LOCK, {"name": name})
