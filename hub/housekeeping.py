"""Deletes what is over, on one hub at a time, under a lease that it keeps."""

import asyncio
import logging
from datetime import timedelta

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.audit import Audit
from kworkspace.hub.db.store import Store
from kworkspace.hub.leases import Leases
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.tokens import Tokens

log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
LEASE = "sweep"
OLD_LEASES = timedelta(days=1)


class Housekeeping:
    """Sweeps.

    Args:
        store: the database.
        leases: this process's leases.
        sessions: of gateways that are gone.
        tokens: that have expired.
        audit: the audit log.
        events_days: after which a row of the audit log is deleted; 0 never.
    """

    def __init__(
        self,
        *,
        store: Store,
        leases: Leases,
        sessions: OpenSessions,
        tokens: Tokens,
        audit: Audit,
        events_days: int,
    ) -> None:
        self._store = store
        self._leases = leases
        self._sessions = sessions
        self._tokens = tokens
        self._audit = audit
        self._events_days = events_days

    async def keep(self) -> None:
        """Sweep for ever."""
        while True:
            # First of all a gateway that outlived the last hub must have had time to report.
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                if await self._leases.claim(LEASE):
                    await self.once()
            except KworkspaceError as error:
                log.error("Sweeping failed: %s", error)

    async def once(self) -> None:
        """Sweep once."""
        await self._sessions.sweep()
        await self._tokens.purge()
        await self._leases.purge(OLD_LEASES)
        await self._store.forget_changes()
        if self._events_days:
            await self._audit.purge(timedelta(days=self._events_days))
