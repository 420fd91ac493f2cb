"""Postgres, for more than one hub: connections that never wait for ever, and what its errors mean.

A transaction that has not done anything yet is begun again, quietly, for a few seconds: a server
that is restarted or fails over is not noticed. After that nothing is repeated here: what was
undone is `Again`, for `store.retried`; a commit whose answer is lost is said to be just that.
"""

import asyncio
import logging
import socket
from itertools import count
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from kworkspace.cli.client.errors import KworkspaceError, Unavailable
from kworkspace.hub.db import migrate
from kworkspace.hub.db.database import Database, Failure
from kworkspace.hub.db.errors import Again, DatabaseUnusable, Lost
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.session import to_its_end
from kworkspace.hub.db.url import postgres_address, shown

log = logging.getLogger(__name__)

OLDEST = 13  # pg_current_xact_id
CONNECTIONS = 10
QUEUE_SECONDS = 5
CONNECT_SECONDS = 5
ANSWER_SECONDS = 12  # more than the server's own limit for a statement
WAIT_SECONDS = 5.0  # for a server that restarts
PAUSES = (0.05, 0.1, 0.2, 0.5)

SETTINGS = {
    "default_transaction_isolation": "read committed",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    # A hub that hangs must not hold what the others wait for.
    "idle_in_transaction_session_timeout": "15s",
    # Nor one whose machine is gone: the server notices within 25 s.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
    "timezone": "UTC",
}
# Ours, against a server whose machine is gone.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
)

# SQLSTATEs (PostgreSQL's appendix A), by what they mean here.
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "53300", "25006", "25P03")
_UNDONE = ("40001", "40P01")
PATIENCE = text(  # for migrations, in the transaction
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '60s', true)"
)


class Postgres(Database):
    """An open Postgres database.

    Args:
        engine: its connections.
        address: where it is, for connections beside the engine's; has the password.
    """

    def __init__(self, engine: AsyncEngine, address: str) -> None:
        super().__init__(engine)
        self.address = address

    @classmethod
    async def open(cls, url: str) -> "Postgres":
        """Open a database, make the tables if it is empty, and check that it is ours.

        Raises:
            DatabaseUnusable: it cannot be reached or used, or is of another revision.
        """
        address = postgres_address(url)
        engine = make_engine(address)
        try:
            await _check(engine, shown(url))
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, address)

    @property
    def reading(self) -> AsyncEngine:
        """The same connections, in transactions that have one snapshot."""
        return self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    async def connect(self) -> Any:
        """Return a connection of asyncpg beside the pool's, for the bus; see `connect`."""
        return await connect(self.address, application="kworkspace-hub bus")

    async def start(self, session: AsyncSession) -> None:
        """Begin, again and again for a few seconds while there is no connection to be had.

        Raises:
            Unavailable: there was none.
        """
        now = asyncio.get_running_loop().time
        end = now() + WAIT_SECONDS
        for attempt in count():
            try:
                # Not left half made when who waits is cancelled: it could not be closed then.
                await to_its_end(session.connection())
                await session.execute(text("SELECT 1"))  # one from the pool may be dead
            except Lost as error:
                await session.rollback()
                if now() >= end:
                    raise Unavailable(
                        "The hub's database does not answer; nothing was changed. Try again in a"
                        " moment, and tell an admin if that does not help"
                    ) from error
                await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            else:
                return

    def undone(self, error: Failure) -> KworkspaceError:
        """Return what a failure before the commit means: the server has undone all of it."""
        if isinstance(error, Lost) or sqlstate(error) in _UNDONE:
            return Again("The hub's database has undone this; nothing was changed. Try again")
        if sqlstate(error) in {"55P03", "57014"}:
            return Unavailable("The hub's database is busy; nothing was changed. Try again")
        return Unavailable(
            "The hub's database has refused this; nothing was changed. Try again later,"
            " and tell an admin"
        )

    def in_commit(self, error: Failure) -> KworkspaceError:
        """Return what a failed commit means: a lost connection leaves open what became of it."""
        if isinstance(error, Lost):
            return Unavailable(
                "The connection to the hub's database broke in the very moment of writing: it is"
                " not known whether this was done. Look before you try again"
            )
        return self.undone(error)


async def connect(address: str, *, application: str = "kworkspace-hub") -> Any:
    """Return a new connection of asyncpg.

    Args:
        address: where to, as `postgres_address` returns it.
        application: what the server's views call the connection.

    Raises:
        Lost: the server cannot be reached now.
        asyncpg.PostgresError: it refuses.
    """
    import asyncpg  # noqa: PLC0415  # a hub on SQLite does not pay for it

    try:
        connection = await asyncpg.connect(
            address, timeout=CONNECT_SECONDS, command_timeout=ANSWER_SECONDS,
            server_settings={**SETTINGS, "application_name": application},
        )  # fmt: skip
    except OSError as error:  # a timeout is one too
        raise Lost(_words(error)) from error
    except asyncpg.PostgresError as error:
        if _is_lost(error.sqlstate):
            raise Lost(_words(error)) from error
        raise
    _keep_alive(connection)
    return connection


def make_engine(address: str) -> AsyncEngine:
    """Return an engine whose errors are `Lost` and DBAPIError and no others."""

    async def creator() -> Any:
        return await connect(address)

    engine = create_async_engine(
        "postgresql+asyncpg://",  # the address is not the engine's to show
        async_creator=creator,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=QUEUE_SECONDS,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "handle_error")
    def on_error(context: ExceptionContext) -> Exception | None:
        error = context.original_exception
        if not isinstance(error, Exception):
            return None  # a cancellation
        lost = isinstance(error, OSError) or _is_lost(getattr(error, "sqlstate", None))
        if lost:
            context.is_disconnect = True
        return Lost(_words(error)) if context.is_disconnect else None

    return engine


def sqlstate(error: BaseException) -> str:
    """Return an error's SQLSTATE, "" if it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def _is_lost(state: str | None) -> bool:
    return state is not None and state.startswith(_LOST)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _keep_alive(connection: Any) -> None:
    transport = connection._transport  # noqa: SLF001  # asyncpg has no other way to the socket
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        for level, option, value in _KEEPALIVE:
            sock.setsockopt(level, option, value)


async def _check(engine: AsyncEngine, name: str) -> None:
    """See that the database is one for us, and make its tables if it is empty."""
    try:
        async with engine.connect() as connection:
            await _check_server(connection, name)
            await connection.execute(PATIENCE)
            await serialize(connection, "migrate")
            await connection.run_sync(migrate.make_or_check, f"The database {name}")
            await connection.commit()
    except (DBAPIError, Lost, OSError, ValueError) as error:
        raise unusable(name, error) from error


async def _check_server(connection: AsyncConnection, name: str) -> None:
    query = text(
        "SELECT current_setting('server_version_num')::int / 10000,"
        " current_setting('server_version'), current_setting('server_encoding'),"
        " current_setting('transaction_read_only')"
    )
    number, version, encoding, read_only = (await connection.execute(query)).one()
    if number < OLDEST:
        raise DatabaseUnusable(
            f"The database {name} is served by Postgres {version}: it must be {OLDEST} or newer"
        )
    if encoding != "UTF8":
        raise DatabaseUnusable(
            f"The database {name} has the encoding {encoding}: make one with ENCODING 'UTF8'"
        )
    if read_only == "on":
        raise DatabaseUnusable(
            f"The database {name} is read-only, as a standby is: name the primary server"
        )


def unusable(name: str, error: Exception) -> DatabaseUnusable:
    """Say in one line why a database cannot be used; the server's words have no secrets."""
    original = error.orig if isinstance(error, DBAPIError) else error
    words = _words(original or error)
    advice = {
        "28P01": "check user and password in c.Hub.db_url",
        "28000": "check user and password in c.Hub.db_url, and the server's pg_hba.conf",
        "3D000": "make it, with ENCODING 'UTF8', for the hub's role alone",
        "42501": "the hub's role must be allowed to create tables: make it the database's owner",
    }.get(sqlstate(error))
    if isinstance(original, Lost | OSError):
        advice = "is the server up, and is c.Hub.db_url right?"
    return DatabaseUnusable(
        f"The database {name} cannot be used ({words}): {advice or 'see there'}"
    )
