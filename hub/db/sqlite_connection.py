"""A connection to SQLite whose statements each cost one turn of its thread.

aiosqlite's own take four: to make a cursor, to execute, to fetch, to close the cursor. Each is two
switches between threads that compete for the interpreter, and the transactions of many starts
queue behind them. BEGIN goes with the first statement, and what was not begun need not be ended.
`hub.db.sqlite` has SQLAlchemy use it.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

Description = tuple[tuple[Any, ...], ...] | None


class Cursor:
    """What SQLAlchemy uses of a cursor. All rows are there when a statement has been executed.

    Args:
        connection: where to execute.
    """

    arraysize = 1

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Description = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Execute a statement."""
        await self._connection.run(self._work, sqlite3.Cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> Self:
        """Execute a statement once for each of the parameters."""
        await self._connection.run(self._work, sqlite3.Cursor.executemany, sql, parameters)
        return self

    def _work(self, cursor: sqlite3.Cursor, execute: Callable[..., Any], *args: Any) -> None:
        """In the connection's thread: do all that there is to do."""
        execute(cursor, *args)
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid

    async def fetchall(self) -> list[Any]:
        """Return the rows that have not been returned yet."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Drop what was not fetched."""
        self._rows = []


class Connection(aiosqlite.Connection):
    """The connection."""

    _begins = False

    def cursor(self) -> Cursor:  # type: ignore[override]  # it can be awaited there
        """Return a cursor."""
        return Cursor(self)

    def begin(self) -> None:
        """Have the next statement begin a transaction."""
        self._begins = True

    async def commit(self) -> None:
        """Commit what was begun."""
        await self._end(super().commit)

    async def rollback(self) -> None:
        """Take back what was begun."""
        await self._end(super().rollback)

    async def _end(self, end: Callable[[], Awaitable[None]]) -> None:
        self._begins = False
        if self._conn.in_transaction:
            await end()

    async def run(self, work: Callable[..., None], *args: Any) -> None:
        """Call a function with a new cursor and arguments in the connection's thread."""
        begins, self._begins = self._begins, False
        await self._execute(self._run, begins, work, *args)  # type: ignore[no-untyped-call]

    def _run(self, begins: bool, work: Callable[..., None], *args: Any) -> None:
        with closing(self._conn.cursor()) as cursor:
            if begins:
                cursor.execute("BEGIN IMMEDIATE")
            work(cursor, *args)


def connect(file: Path) -> Connection:
    """Return a connection that opens the file when it is awaited."""
    # Without an isolation level it is we who begin, not the driver.
    connection = Connection(lambda: sqlite3.connect(file, isolation_level=None), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does with aiosqlite's own
    return connection
