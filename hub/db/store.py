"""Opens the database and gives out transactions; translates what goes wrong to our errors.

SQLite is the embedded default (`hub.db.sqlite`), Postgres for more than one hub
(`hub.db.postgres`). Every object that a transaction added, changed or deleted is handed to
`on_commit` after the commit: that is how the in-process read model stays in step without anyone
having to remember it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from kworkspace.cli.client.errors import Unavailable
from kworkspace.hub.bus import Bus, LocalBus
from kworkspace.hub.db.changes import Changes, OnCommit, collect
from kworkspace.hub.db.database import Database
from kworkspace.hub.db.errors import Again, Lost
from kworkspace.hub.db.journal import Journal, everything, forget
from kworkspace.hub.db.listen import CHANNEL, PostgresBus
from kworkspace.hub.db.postgres import Postgres
from kworkspace.hub.db.session import Session, to_its_end
from kworkspace.hub.db.sqlite import SQLite
from kworkspace.hub.db.url import sqlite_file

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = (0.01, 0.05, 0.2, 0.5)


def retried(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Have a coroutine function called again, a few times, when the database undid its work.

    For what consists of one transaction and of nothing that it does before that one's commit.
    """

    @wraps(method)
    async def calling(*args: P.args, **kwargs: P.kwargs) -> T:
        for wait in RETRY_SECONDS:
            try:
                return await method(*args, **kwargs)
            except Again:
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  # not a secret
        return await method(*args, **kwargs)

    return calling


class Store:
    """The open database.

    Use `Store.open`; the constructor only keeps what it is given.

    Attributes:
        on_commit: takes what each transaction has changed, of this hub and of others.
        bus: what the hubs on this database tell each other.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = database.engine
        self.on_commit: OnCommit = lambda _changes: None
        self.bus: Bus = LocalBus()
        self._journal: Journal | None = None
        self._keepers: list[Callable[[], Coroutine[Any, Any, None]]] = []
        if isinstance(database, Postgres):
            self.bus = bus = PostgresBus(database.connect)
            self._journal = Journal(
                snapshot=self.snapshot, tell=self._told, channel=CHANNEL, news=bus.journal_news
            )
            bus.on_journal = self._journal.wake
            self._keepers = [self._journal.keep, bus.keep]

    @classmethod
    async def open(cls, url: str) -> "Store":
        """Open the database, make the tables if it is empty, and check that it is ours.

        Args:
            url: `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE`, with libpq's options.

        Raises:
            DatabaseUnusable: wrong URL, not to be reached or used, corrupt, or of another
                revision than this code.
        """
        file = sqlite_file(url)
        return cls(await Postgres.open(url) if file is None else await SQLite.open(file))

    async def load(self) -> None:
        """Tell `on_commit` of everything that there is; `keep` goes on from there."""
        if self._journal is not None:
            await self._journal.load()
            return
        async with self.snapshot() as session:
            changes = await everything(session)
        self.on_commit(changes)

    async def keep(self) -> None:
        """Stay in step with the other hubs on this database, for ever; SQLite has none."""
        async with asyncio.TaskGroup() as group:
            for keep in self._keepers:
                group.create_task(keep(), name="stay in step with other hubs")

    def fresh(self) -> bool:
        """Whether `on_commit` has lately been told of all that other hubs have changed."""
        return self._journal is None or self._journal.fresh()

    async def in_step(self) -> None:
        """Return when `on_commit` has been told of what was committed before, by whichever hub.

        So that who was answered by one hub finds it true at another. Not longer than a second:
        `fresh` tells whether the picture is good for anything.
        """
        if self._journal is not None:
            await self._journal.in_step()

    async def forget_changes(self) -> None:
        """Delete what no hub needs of the journal any more; to be called now and then."""
        if self._journal is not None:
            async with self.begin() as session:
                await forget(session)

    def _told(self, changes: Changes) -> None:
        self.on_commit(changes)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """One transaction: commits at the end of the block, rolls back on any exception.

        Raises:
            Again: somebody else has changed a row that this transaction changes, or the database
                has undone it; nothing was changed. See `retried`.
            Unavailable: the database could not do it (a full disk, for instance); nothing was
                changed, or the message says that this is not known. Violated constraints come
                through as IntegrityError, for the domain.
        """
        changes = Changes()
        async with self._session(self._engine) as session:
            collect(session.sync_session, changes)
            yield session
            await to_its_end(self._commit(session, changes))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads, all of it at one moment.

        Raises:
            Unavailable: the database cannot be read.
        """
        async with self._session(self._database.reading) as session:
            yield session

    @asynccontextmanager
    async def _session(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
        """Begin a transaction, and translate what goes wrong in it before its commit."""
        try:
            async with Session(engine) as session:
                await self._database.start(session)
                yield session
        except IntegrityError:
            raise
        except StaleDataError as error:
            raise Again(
                "Somebody else has changed this meanwhile; nothing was changed. Look again"
            ) from error
        except (DBAPIError, Lost) as error:
            raise self._database.undone(error) from error
        except PoolTimeoutError as error:
            raise Unavailable(
                "The hub's database is busy; nothing was changed. Try again"
            ) from error

    async def _commit(self, session: AsyncSession, changes: Changes) -> None:
        """Commit and tell: both or neither."""
        await session.flush()
        keys = changes.keys()
        if self._journal is None or not keys:
            await self._finish(session, changes)
            return
        await self._journal.write(session, keys)
        with self._journal.committing(keys):
            await self._finish(session, changes)

    async def _finish(self, session: AsyncSession, changes: Changes) -> None:
        try:
            await session.commit()
        except IntegrityError:
            raise
        except (DBAPIError, Lost) as error:
            raise self._database.in_commit(error) from error
        if changes.saved or changes.deleted:
            self.on_commit(changes)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._database.aclose()
