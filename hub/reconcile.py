"""Compares what the database says with what the spawner has: at start, and every few minutes.

What runs and is known is adopted; what the database believes to run and does not is marked so;
what nobody owns is ended after a while, and an admin is told of homes that nobody owns. Starts and
stops that a dead process left are taken up again. Every hub compares when it starts, then one of
them does, under a lease that it keeps.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.driver import Driver
from kworkspace.hub.leases import Leases
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.steps import Describe
from kworkspace.spawners.base import Running, Spawner

log = logging.getLogger(__name__)

AT_ONCE = 16
CHECK_SECONDS = 10.0
LEASE = "compare"


class Reconciler:
    """Makes both pictures one.

    Args:
        store: the database.
        readmodel: what the database says.
        audit: the audit log.
        spawner: what really runs.
        driver: does what is to be done.
        workspace: makes of a row what the spawner is told.
        leases: this process's leases.
        clock: now.
        seconds: between two comparisons.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        spawner: Spawner,
        driver: Driver,
        workspace: Describe,
        leases: Leases,
        clock: Clock,
        seconds: float = 300.0,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._spawner = spawner
        self._driver = driver
        self._workspace = workspace
        self._leases = leases
        self._clock = clock
        self._seconds = seconds
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._told: set[str] = set()
        self._checks: list[asyncio.Task[None]] = []

    async def keep(self) -> None:
        """Compare for ever."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                if await self._leases.claim(LEASE):
                    await self.once()
            except Exception:
                log.exception("Comparing the database with what runs failed")

    async def once(self) -> None:
        """Compare once."""
        found = {running.id: running for running in await self._spawner.running()}
        self._checks = []
        works = [
            self._alone(row.slug, self._see_to, row, found.pop(row.id, None))
            for row in self._readmodel.servers()
        ]
        await asyncio.gather(*works)
        for id in await self._known(list(found)):
            del found[id]  # another hub has just made it
        for orphan in found.values():
            await self._alone(orphan.slug, self._remove, orphan)
        await self._warn_of_homes()
        if self._checks:
            # Whoever asks after this must not be told of what is long gone.
            await asyncio.wait(self._checks, timeout=CHECK_SECONDS)

    @retried
    async def _known(self, ids: Sequence[str]) -> Sequence[str]:
        """Return which of these servers the database has."""
        async with self._store.begin() as session:
            return await queries.known(session, ids)

    async def _alone(self, slug: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """See to one workspace; its trouble is nobody else's."""
        try:
            async with self._turn:
                await work(*args)
        except Exception:
            log.exception("Comparing workspace %s with what runs failed", slug)

    async def _see_to(self, row: ServerRow, running: Running | None) -> None:
        match row.state:
            case ServerState.READY:
                if running is not None and running.object_uid == row.object_uid:
                    workspace = self._workspace(row)
                    await self._spawner.refresh(workspace)
                    log.info("Server %s of %s runs", row.name or "(default)", row.user)
                    if not workspace.authorized_keys:
                        log.warning("%s has no key any more: nobody enters it", row.user)
                else:
                    self._checks.append(self._driver.check(row.id))
            case ServerState.STARTING | ServerState.STOPPING:
                self._driver.kick(row.id)
            case ServerState.STOPPED if row.deleting:
                self._driver.kick(row.id)
            case ServerState.STOPPED if running is not None:
                self._driver.check(row.id)

    async def _warn_of_homes(self) -> None:
        """Tell an admin, once, of homes whose user and workspace the database does not have."""
        homes = {home.id: home for home in await self._spawner.kept_homes()}
        unknown = [id for id in homes if self._readmodel.server(id) is None]
        known = set(await self._known(unknown)) if unknown else set()
        for id in set(unknown) - known - self._told:
            log.warning("%s (%s) belongs to no user; it is kept", homes[id].name, id)
        self._told = set(unknown) - known

    async def _remove(self, orphan: Running) -> None:
        limit = timedelta(seconds=self._spawner.orphan_seconds)
        if orphan.since is not None and self._clock() - orphan.since < limit:
            return  # an admin may be about to bring its user back
        log.warning("Workspace %s (%s) belongs to nobody: ending it", orphan.slug, orphan.id)
        await self._spawner.remove_orphan(orphan)
        await self._record(orphan)

    @retried
    async def _record(self, orphan: Running) -> None:
        async with self._store.begin() as session:
            self._audit.record(session, "server.orphan-removed", message=orphan.slug)
