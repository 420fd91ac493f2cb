"""The journal: by it each hub on one Postgres learns what the others have committed.

Each transaction writes which rows it changed, with its transaction id, and wakes the other hubs.
A look reads, in one snapshot, what is new in the journal and those very rows. New is what was
committed since the last look's snapshot, however long its transaction had been open: everything
from that snapshot's xmin on, the oldest transaction that was still open then, less what was seen.

Rows that this hub is committing while it looks are left alone and looked at again: of two
pictures of a row the later one cannot be told otherwise. Who could not look for longer than half
of what is kept, or meets a database that went back in time, reads everything.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import String, literal, select, text, union_all
from sqlalchemy import cast as cast_sql
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import CARRIED, Carried, Changes, Key, key_of

log = logging.getLogger(__name__)

KEPT = timedelta(hours=1)
MOST_ROWS = 2000  # looked at one by one; above, everything is read
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.02  # so that a burst of commits is one look
FRESH_SECONDS = 10.0
IN_STEP_SECONDS = 1.0

_WRITE = text(
    """
    WITH written AS (
        INSERT INTO changes (xid, at, entity, key)
        SELECT pg_current_xact_id()::text::bigint, clock_timestamp(), changed.entity, changed.key
        FROM unnest(CAST(:tables AS text[]), CAST(:ids AS text[])) AS changed (entity, key)
        RETURNING id
    )
    SELECT pg_notify(:channel, :payload), count(*) FROM written
    """
)
_MOMENT = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, now()")
_SINCE = text("SELECT id, entity, key FROM changes WHERE xid >= :since")
_FORGET = text("DELETE FROM changes WHERE at < clock_timestamp() - CAST(:age AS interval)")

Snapshot = Callable[[], AbstractAsyncContextManager[AsyncSession]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the last look saw.

    Attributes:
        xmin: every older transaction was over, and seen.
        at: the database's time.
        rows: the journal's rows from `xmin` on.
    """

    xmin: int
    at: datetime
    rows: frozenset[int]


class Journal:
    """Reads the journal.

    Args:
        snapshot: opens a transaction that reads, all of it at one moment.
        tell: takes what has changed.
        channel: where the other hubs listen.
        news: makes what wakes them.
    """

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        tell: Callable[[Changes], None],
        channel: str,
        news: Callable[[], str],
    ) -> None:
        self._snapshot = snapshot
        self._tell = tell
        self._channel = channel
        self._news = news
        self._seen: _Seen | None = None
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._committing: Counter[Key] = Counter()
        self._touched: set[Key] = set()
        self._again: set[Key] = set()
        self._wake = asyncio.Event()

    async def write(self, session: AsyncSession, keys: set[Key]) -> None:
        """Write in the caller's transaction which rows it changes; its commit wakes the others."""
        tables, ids = zip(*sorted(keys), strict=True)
        news = {"channel": self._channel, "payload": self._news()}
        await session.execute(_WRITE, {"tables": list(tables), "ids": list(ids), **news})

    @contextmanager
    def committing(self, keys: set[Key]) -> Iterator[None]:
        """Say that these rows are being committed, and applied, within the block."""
        self._committing.update(keys)
        self._touched |= keys
        try:
            yield
        except BaseException:
            # Nobody knows what became of it: the next look does.
            self._again |= keys
            self.wake()
            raise
        finally:
            self._committing = self._committing - Counter(keys)

    def wake(self) -> None:
        """Have a look taken soon: another hub has committed something."""
        self._wake.set()

    def fresh(self) -> bool:
        """Whether the last look is so recent that its picture may be answered from."""
        return time.monotonic() - self._looked < FRESH_SECONDS

    async def keep(self) -> None:
        """Look for ever: when woken, and every second."""
        lost = False
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.catch_up()
            except KworkspaceError as error:
                if not lost:
                    log.error("What the other hubs change cannot be read: %s", error)
                lost = True
            else:
                if lost:
                    log.info("What the other hubs have changed is read again")
                lost = False
            await asyncio.sleep(PAUSE_SECONDS)

    async def load(self) -> None:
        """Read everything and tell it.

        Raises:
            Unavailable: the database cannot be read.
        """
        self._seen = None
        await self.catch_up()

    async def catch_up(self) -> None:
        """Look once: read what was committed since the last look and tell it.

        Raises:
            Unavailable: the database cannot be read.
        """
        async with self._looking:
            await self._look()

    async def in_step(self) -> None:
        """Return when what was committed before this call is told, or cannot be read at once.

        Whoever calls meanwhile is served by one look.
        """
        asked = time.monotonic()
        with suppress(KworkspaceError, TimeoutError):
            async with asyncio.timeout(IN_STEP_SECONDS), self._looking:
                if self._looked < asked:
                    await self._look()

    async def _look(self) -> None:
        began = time.monotonic()
        again, self._again = self._again, set()
        self._touched = set(self._committing)
        try:
            async with self._snapshot() as session:
                changes, keys, seen = await self._read(session, again)
        except BaseException:
            self._again |= again
            raise
        self._take(changes, keys)
        self._seen, self._looked = seen, began

    def _take(self, changes: Changes, keys: set[Key]) -> None:
        """Tell what was read, but for what was being committed here meanwhile."""
        unsure = self._touched if changes.everything else self._touched & keys
        if not changes.everything:
            unsure |= {key_of(item) for item in changes.saved if self._is_touched(item)}
            changes.saved = [item for item in changes.saved if key_of(item) not in unsure]
            changes.gone = [key for key in changes.gone if key not in unsure]
        if unsure:
            self._again |= unsure
            self.wake()
        if changes.saved or changes.gone or changes.everything:
            self._tell(changes)

    def _is_touched(self, item: object) -> bool:
        """Whether a row, or a user that it goes with, was being committed here meanwhile."""
        match item:
            case db.Group():
                users = [user.id for user in item.users]
            case db.Server() | db.APIToken() | db.SSHKey():
                users = [] if item.user_id is None else [item.user_id]
            case _:
                users = []
        keys = {key_of(item)} | {(db.User.__tablename__, str(id)) for id in users}
        return not keys.isdisjoint(self._touched)

    async def _read(
        self, session: AsyncSession, again: set[Key]
    ) -> tuple[Changes, set[Key], _Seen]:
        xmin, at = (await session.execute(_MOMENT)).one()
        last = self._seen
        gap = last is None or xmin < last.xmin or at - last.at > KEPT / 2
        since = xmin if last is None or gap else last.xmin
        entries = (await session.execute(_SINCE, {"since": since})).all()
        seen = _Seen(xmin, at, frozenset(row.id for row in entries))
        if last is not None:
            new = {(row.entity, row.key) for row in entries if row.id not in last.rows}
            if not gap and len(keys := new | again) <= MOST_ROWS:
                return await _rows(session, keys), keys, seen
            log.warning("Too much has happened since the last look: everything is read anew")
        return await everything(session), set(), seen


async def forget(session: AsyncSession) -> None:
    """Delete what is older than is kept."""
    await session.execute(_FORGET, {"age": KEPT})


async def everything(session: AsyncSession) -> Changes:
    """Return all rows of all tables that the read model carries."""
    found: list[object] = []
    for kind in CARRIED.values():
        found += (await session.scalars(select(kind))).all()
    return Changes(saved=found, everything=True)


async def _rows(session: AsyncSession, keys: set[Key]) -> Changes:
    """Return these rows, what belongs to the users among them, and which of them are gone.

    What belongs to a user is known by their name, which may have passed to another one meanwhile.
    """
    found: list[Carried] = []
    users = [int(key) for table, key in keys if table == db.User.__tablename__]
    belongings = await _belongings(session, users) if users else set()
    for table, kind in CARRIED.items():
        type_ = kind.id.type.python_type
        wanted = [type_(key) for name, key in keys | belongings if name == table]
        if wanted:
            query = select(kind).where(kind.id.in_(wanted))
            found += cast("Sequence[Carried]", (await session.scalars(query)).all())
    return Changes(saved=list(found), gone=sorted(keys.difference(map(key_of, found))))


async def _belongings(session: AsyncSession, users: Sequence[int]) -> set[Key]:
    """Return what belongs to users."""
    members = db.group_members.c
    queries = [
        select(literal(kind.__tablename__), kind.id).where(kind.user_id.in_(users))
        for kind in (db.Server, db.APIToken, db.SSHKey)
    ]
    of_groups = select(literal(db.Group.__tablename__), cast_sql(members.group_id, String)).where(
        members.user_id.in_(users)
    )
    rows = await session.execute(union_all(*queries, of_groups))
    return {(table, key) for table, key in rows}
