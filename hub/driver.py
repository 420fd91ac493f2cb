"""Makes true what was requested: one task for each server that has work, under its lease.

`kick` may come from a request, an exit that the spawner noticed, the reconciler, or the look for
work that another hub has left: the task claims the lease, reads the row from the database, and
does the next step until there is none. Whoever gives a lease back looks once more, so that nothing
that was requested meanwhile is left between two hubs.
"""

import asyncio
import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.models import ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.audit import Origin, origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.failpoints import Failpoint, failpoint
from kworkspace.hub.leases import SERVER_LEASE, LeaseLost, Leases, server_lease
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.steps import Steps, learn
from kworkspace.hub.together import Together
from kworkspace.spawners.base import Exit, Spawner

log = logging.getLogger(__name__)

RETRY_SECONDS = (1, 2, 5, 10, 30)
HELD_SECONDS = 1.0  # between two tries to claim what another hub is at
LOOK_SECONDS = 1.0


class Driver:
    """Has the steps done.

    Args:
        store: the database.
        readmodel: what is committed.
        spawner: what really runs.
        leases: this process's leases.
        steps: what is to be done.
        clock: now.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        spawner: Spawner,
        leases: Leases,
        steps: Steps,
        clock: Clock,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._spawner = spawner
        self._leases = leases
        self._steps = steps
        self._clock = clock
        self._tasks = Tasks()
        self._active: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, asyncio.Timeout] = {}
        self._kicked: set[str] = set()
        self._exits: dict[str, Exit] = {}
        self._unsure: set[str] = set()
        self._watched: dict[str, str] = {}
        # Of many starts at once, most are claimed and given back in a few transactions.
        self._claim = Together(self._claim_all, self._tasks)
        self._give_back = Together(self._give_all_back, self._tasks)
        leases.on_lost(self._lost)
        readmodel.on_server.append(self._changed)

    async def claim_in(self, session: AsyncSession, *ids: str) -> None:
        """Claim servers in the transaction that wants them to run, if no other process is at them.

        Their start then waits for no transaction more, and so not for what others have to write.
        """
        await self._leases.claim_in(session, *map(server_lease, ids))

    def kick(self, id: str) -> "asyncio.Task[None]":
        """See to a server, now or after what is being done for it; return the task that does."""
        self._kicked.add(id)
        if id not in self._active:
            self._active[id] = self._tasks.spawn(self._drive(id), f"drive server {id}")
        return self._active[id]

    def check(self, id: str) -> "asyncio.Task[None]":
        """See to a server, and ask the spawner whether it is what the database says."""
        self._unsure.add(id)
        return self.kick(id)

    def check_all(self) -> None:
        """Have all that runs compared: what is to be trusted there is something else."""
        for row in self._readmodel.servers():
            if row.state in {ServerState.STARTING, ServerState.READY}:
                self.check(row.id)

    def ended(self, exit: Exit) -> None:
        """The spawner noticed that a workspace has ended by itself."""
        self._exits[exit.id] = exit
        self.kick(exit.id)

    async def aclose(self) -> None:
        """Stop working. What was under way is taken up again by another process."""
        await self._tasks.aclose()
        await self._steps.aclose()

    # -- one server ------------------------------------------------------------------------------

    async def _drive(self, id: str) -> None:
        # Who asked for it is in the request's own event; the task may serve several of them.
        origin.set(Origin())
        failures = 0
        try:
            while id in self._kicked:
                self._kicked.discard(id)
                try:
                    await self._work(id)
                    failures = 0
                except LeaseLost:
                    log.warning("Server %s: another hub process has taken over", id)
                    self._unsure.add(id)  # what was begun here may have come true too late
                    await self._try_again_if_known(id)
                except Exception as error:
                    wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                    failures += 1
                    details = None if isinstance(error, KworkspaceError) else error
                    log.error("Server %s: %s; again in %d s", id, error, wait, exc_info=details)
                    self._kicked.add(id)
                    await asyncio.sleep(wait)
        finally:
            del self._active[id]

    async def _try_again_if_known(self, id: str) -> None:
        """Not to forget what only this hub knows of a server that another one is at."""
        if id in self._exits or id in self._unsure:
            self._kicked.add(id)
            await asyncio.sleep(HELD_SECONDS)

    async def _work(self, id: str) -> None:
        """Do all the steps that a server needs, if no other process is at it.

        Raises:
            LeaseLost: another process has taken it meanwhile.
        """
        server: db.Server | None = None
        lease = server_lease(id)
        claimed = self._leases.has(lease)  # with the request: it is in the read model
        if not claimed:
            ours, server = await self._claim(id)
            if not ours:
                await self._try_again_if_known(id)
                return
        held = self._held[id] = asyncio.timeout(None)
        try:
            async with held:
                known = self._readmodel.server(id)
                row = known if claimed else learn(self._readmodel, id, server)
                while row is not None and await self._step(row):
                    row = self._readmodel.server(id)
                    if not self._leases.has(lease):  # given back with what was written
                        break
            if row is None:  # it is deleted
                self._exits.pop(id, None)
                self._unsure.discard(id)
        except TimeoutError:
            if held.expired():
                raise LeaseLost(id) from None
            raise
        finally:
            del self._held[id]
            if await self._is_left(id):
                self._kicked.add(id)

    async def _is_left(self, id: str) -> bool:
        """Give a server back, and say whether there is work for it by then."""
        if self._leases.has(server_lease(id)):
            return await self._give_back(id)
        row = self._readmodel.server(id)
        known = id in self._exits or id in self._unsure
        return row is not None and (known or is_pending(row))

    def _lost(self, lease: str, _holder: str) -> None:
        """End what is done under a lease that another process has."""
        held = self._held.get(lease.removeprefix(SERVER_LEASE))
        if held is not None and lease.startswith(SERVER_LEASE):
            held.reschedule(0)

    @retried
    async def _claim_all(self, ids: Sequence[str]) -> Sequence[tuple[bool, db.Server | None]]:
        """Claim servers; return whether each is ours, and its row as the database has it."""
        async with self._store.begin() as session:
            ours = await self._leases.claim_in(session, *map(server_lease, ids))
            claimed = [id for id in ids if server_lease(id) in ours]
            servers = await queries.get_many(session, claimed)
            failpoint(Failpoint.CLAIM_BEFORE_COMMIT)
        failpoint(Failpoint.CLAIM_AFTER_COMMIT)
        return [(id in claimed, servers.get(id)) for id in ids]

    @retried
    async def _give_all_back(self, ids: Sequence[str]) -> Sequence[bool]:
        """Give servers back; return whether there is work for each by then."""
        async with self._store.begin() as session:
            await self._leases.release_in(session, *map(server_lease, ids))
            servers = await queries.get_many(session, ids)
        rows = [learn(self._readmodel, id, servers.get(id)) for id in ids]
        return [row is not None and is_pending(row) for row in rows]

    async def _step(self, row: ServerRow) -> bool:
        """Do the next step; False if there is none."""
        match row.state:
            case ServerState.STARTING:
                await self._steps.start(row)
            case ServerState.STOPPING:
                await self._steps.stop(row)
            case ServerState.READY:
                return await self._look_after(row)
            case ServerState.STOPPED if row.deleting:
                await self._steps.delete(row)
            case ServerState.STOPPED:
                await self._clear_away(row)
                return False
        return True

    async def _look_after(self, row: ServerRow) -> bool:
        exit = self._exits.pop(row.id, None)
        if exit is not None and exit.object_uid == row.object_uid:
            return await self._ended(row, exit)
        if row.id not in self._unsure:
            return False
        self._unsure.discard(row.id)
        try:
            if await self._steps.compare(row):
                self._unsure.add(row.id)  # it may have left something, as a pod that has failed
        except BaseException:
            self._unsure.add(row.id)
            raise
        return True

    async def _ended(self, row: ServerRow, exit: Exit) -> bool:
        try:
            await self._steps.ended(row, exit.reason)
        except BaseException:
            self._exits.setdefault(row.id, exit)
            raise
        self._unsure.add(row.id)
        return True

    async def _clear_away(self, row: ServerRow) -> None:
        """End what a late actor, or an end by itself, may have left of a server that is stopped."""
        self._exits.pop(row.id, None)
        if row.id in self._unsure:
            await self._steps.end(row)
            self._unsure.discard(row.id)

    # -- other hubs ------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Take up for ever what was requested and nobody does: its hub has died."""
        while True:
            try:
                wait = await self.look()
            except KworkspaceError as error:
                log.error("Work that is left over could not be looked for: %s", error)
                wait = LOOK_SECONDS
            await asyncio.sleep(wait)

    async def look(self) -> float:
        """Take up what nobody does; return the seconds after which to look again."""
        rows = self._readmodel.servers()
        if not any(is_pending(row) and row.id not in self._active for row in rows):
            return LOOK_SECONDS
        left = await self._left()
        for id, seconds in left.items():
            if seconds <= 0 and id not in self._active:
                self.kick(id)
        soonest = min((seconds for seconds in left.values() if seconds > 0), default=LOOK_SECONDS)
        return min(soonest, LOOK_SECONDS)

    @retried
    async def _left(self) -> dict[str, float]:
        """Return what is pending, and for how many seconds another hub still holds each.

        What is ours and not driven is left over too: of a request whose commit was not answered.
        """
        async with self._store.begin() as session:
            return await queries.pending(session, SERVER_LEASE, self._leases.holder, self._clock)

    def _changed(self, id: str) -> None:
        """Have what became ready elsewhere watched here too, so that its end is noticed."""
        row = self._readmodel.server(id)
        uid = row.object_uid if row is not None and row.state is ServerState.READY else None
        if row is None or uid is None:
            self._watched.pop(id, None)
        elif self._watched.get(id) != uid:
            self._watched[id] = uid
            if id not in self._held:
                self._tasks.spawn(self._watch(row), f"watch what runs of server {id}")

    async def _watch(self, row: ServerRow) -> None:
        running = await self._spawner.find(row.id, row.slug, user=row.user, name=row.name)
        if running is None or running.object_uid != row.object_uid:
            self.check(row.id)


def is_pending(row: ServerRow) -> bool:
    """Whether something is to be done with a server."""
    return row.deleting or row.state in {ServerState.STARTING, ServerState.STOPPING}
