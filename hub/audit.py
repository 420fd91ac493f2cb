"""The audit log: a row in `events` for every change and every refusal.

A change's row is written by the transaction that makes it. Refusals cost an attacker nothing, so
they must cost the hub little: they are queued and written together, at a bounded rate (a token
bucket); what does not fit is counted, and the count is written.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import events as queries
from kworkspace.hub.db.models import Event
from kworkspace.hub.db.store import Store

log = logging.getLogger(__name__)

BURST = 500
REFUSALS_PER_SECOND = 10
FLUSH_SECONDS = 0.2
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\xa0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: who, which request, from which address."""

    actor: str = "hub"
    request_id: str = ""
    address: str = ""


origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039  # it is frozen


class Audit:
    """Writes the log.

    Args:
        store: the database.
        clock: now.
    """

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[queries.Row] = []
        self._dropped = 0
        self._allowance, self._counted_at = float(BURST), clock()
        self._wake = asyncio.Event()

    def _row(
        self,
        action: str,
        *,
        user: str | None = None,
        server: str | None = None,
        outcome: str = "ok",
        message: str = "",
        by: Origin | None = None,
    ) -> queries.Row:
        source = origin.get() if by is None else by
        return {
            "at": self._clock(),
            "action": action,
            "outcome": outcome,
            "actor": source.actor,
            "user": user,
            "server": server,
            "address": source.address,
            "request_id": source.request_id,
            "message": message,
        }

    def record(
        self,
        session: AsyncSession,
        action: str,
        *,
        user: str | None = None,
        server: str | None = None,
        outcome: str = "ok",
        message: str = "",
    ) -> None:
        """Add a change's row to the transaction that makes the change.

        Args:
            session: that transaction.
            action: what, as `server.start`.
            user: whose.
            server: the server's name.
            outcome: `ok`, or a word for what became of it.
            message: one line, no secrets.
        """
        row = self._row(action, user=user, server=server, outcome=outcome, message=message)
        session.add(Event(**row))

    async def record_many(
        self, session: AsyncSession, action: str, servers: Iterable[tuple[Origin, str, str]]
    ) -> None:
        """Add the rows of a change of many servers, in one statement.

        Args:
            session: see `record`.
            action: see `record`.
            servers: who asked for each, its user, and its name.
        """
        rows = [self._row(action, user=user, server=name, by=by) for by, user, name in servers]
        await queries.add_all(session, rows)

    def refuse(self, action: str, error: KworkspaceError, user: str | None = None) -> bool:
        """Queue a refusal's row, if the rate allows it; say whether it did.

        Args:
            action: what was refused.
            error: why; its code is the outcome.
            user: whose resource it was about, if known; as it was written, whatever that is.
        """
        if not self._allowed():
            self._dropped += 1
            return False
        # A caller's own text: Postgres takes no NUL, and a terminal no control character.
        # One row with such would take with it all that are written together.
        name = None if user is None else _UNPRINTABLE.sub("?", user)[:255]
        message = _UNPRINTABLE.sub("?", error.message[:1000])
        self._waiting.append(self._row(action, user=name, outcome=error.code, message=message))
        self._wake.set()
        return True

    def _allowed(self) -> bool:
        now = self._clock()
        gained = max(0.0, (now - self._counted_at).total_seconds()) * REFUSALS_PER_SECOND
        self._allowance, self._counted_at = min(BURST, self._allowance + gained), now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    async def purge(self, age: timedelta) -> None:
        """Delete the rows that are older."""
        async with self._store.begin() as session:
            await queries.delete_before(session, self._clock() - age)

    async def keep_writing(self) -> None:
        """Write what waits, for ever, a few times a second."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits now."""
        self._wake.clear()
        waiting, self._waiting = self._waiting, []
        if self._dropped:
            message = f"{self._dropped} refusals more than could be written"
            waiting.append(self._row("audit", outcome="dropped", message=message))
            self._dropped = 0
        if waiting:
            await self._write(waiting)

    async def _write(self, rows: Sequence[queries.Row]) -> None:
        try:
            async with self._store.begin() as session:
                await queries.add_all(session, rows)
        except KworkspaceError as error:
            log.error("%d refusals could not be written to the audit log: %s", len(rows), error)
