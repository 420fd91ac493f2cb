"""The steps of a server's life: what is done at the spawner, and written when it is done.

The driver calls them with the lease in hand. Every step can be repeated after a crash, and every
result is written in a transaction that requires the lease and finds the row as the step began with
it: who is late changes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.cli.client.models import Progress, ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.audit import Audit, origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.changes import Changes
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.failpoints import Failpoint, failpoint
from kworkspace.hub.leases import LeaseLost, Leases, server_lease
from kworkspace.hub.progress import MOST_CHARACTERS, ProgressBoard
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.together import Together
from kworkspace.spawners.base import Running, Spawner, Workspace, call_hook

log = logging.getLogger(__name__)

POST_STOP_HOOK_SECONDS = 60.0
DELETE_SECONDS = 3600.0  # a home of many files, on a slow disk

Describe = Callable[[ServerRow], Workspace]


class Steps:
    """Does them.

    Args:
        store: the database.
        readmodel: what is committed; wakes a start that is to be cancelled.
        audit: the audit log.
        board: progress.
        spawner: what really runs.
        workspace: makes of a row what the spawner is told.
        leases: this process's leases.
        clock: now.
        measure: told how each start ended, and after how many seconds.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        board: ProgressBoard,
        spawner: Spawner,
        workspace: Describe,
        leases: Leases,
        clock: Clock,
        measure: Callable[[str, float], None],
    ) -> None:
        self._measure = measure
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._board = board
        self._spawner = spawner
        self._workspace = workspace
        self._leases = leases
        self._clock = clock
        self._tasks = Tasks()
        self._commit_ready = Together(self._commit_all_ready, self._tasks)

    async def aclose(self) -> None:
        """Stop working."""
        await self._tasks.aclose()

    # -- starting --------------------------------------------------------------------------------

    async def start(self, row: ServerRow) -> None:
        """Start a server that is starting, until it is ready, has failed, or is to stop."""
        begun = time.monotonic()
        outcome = await self._start(row)
        self._measure(outcome, time.monotonic() - begun)

    async def _start(self, row: ServerRow) -> str:
        failpoint(Failpoint.SPAWNER_START_BEFORE)
        work = self._tasks.spawn(self._spawn(row), f"start server {row.id}")
        changed = self._tasks.spawn(
            self._readmodel.server_when(row.id, lambda now: now.state is not ServerState.STARTING),
            f"watch server {row.id}",
        )
        try:
            await asyncio.wait({work, changed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        if work.cancelled():
            return "stopped"  # the next step sees to it
        outcome = work.result()
        failpoint(Failpoint.SPAWNER_START_AFTER)
        if isinstance(outcome, Running):
            if await self._commit_ready((row, outcome)):
                log.info("Server %s of %s is ready", row.name or "(default)", row.user)
            return "ready"
        await self._fail(row, outcome)
        return "failed"

    async def _spawn(self, row: ServerRow) -> Running | str:
        """Start at the spawner; return why it failed, if it did."""

        def progress(percent: int, message: str) -> None:
            failpoint(Failpoint.SPAWNER_START_DURING)
            self._board.add(row.id, row.generation, Progress(progress=percent, message=message))

        workspace = self._workspace(row)
        try:
            async with asyncio.timeout(self._spawner.start_limit()):
                async with asyncio.timeout(self._spawner.start_timeout):
                    workspace = await self._before_start(workspace)
                return await self._spawner.start(workspace, progress)
        except StartFailed as error:
            return error.message
        except TimeoutError:
            return (
                f"it was not ready after {self._spawner.start_timeout} s"
                f" (c.{type(self._spawner).__name__}.start_timeout)"
            )
        except Exception as error:
            log.exception("The start of %s (%s) failed", row.slug, row.id)
            if isinstance(error, KworkspaceError):
                return error.message
            return f"an unexpected error ({type(error).__name__}); an admin finds it in the log"
        except asyncio.CancelledError:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # we are in one
                raise
            log.exception("The start of %s (%s) cancelled itself", row.slug, row.id)
            return "it was cancelled; an admin finds more in the log"

    async def _before_start(self, workspace: Workspace) -> Workspace:
        try:
            hook = self._spawner.pre_spawn_hook
            changed: Workspace | None = await call_hook(hook, self._spawner, workspace)
        except Exception as error:
            log.warning("pre_spawn_hook failed for %s", workspace.slug, exc_info=True)
            raise StartFailed(str(error) or f"pre_spawn_hook: {type(error).__name__}") from error
        return workspace if changed is None else changed

    @retried
    async def _commit_all_ready(
        self, started: Sequence[tuple[ServerRow, Running]]
    ) -> Sequence[bool | Exception]:
        """Write that servers are ready; False of those of which a newer request has decided.

        With it their leases are given back: most often there is nothing more to do.
        """
        async with self._store.begin() as session:
            leases = [server_lease(row.id) for row, _ in started]
            ours = await self._leases.release_in(session, *leases)
            servers = await queries.get_many(session, [row.id for row, _ in started])
            outcomes = [
                self._ready(row, servers.get(row.id), running)
                if lease in ours
                else LeaseLost(lease)
                for lease, (row, running) in zip(leases, started, strict=True)
            ]
            ready = [
                row
                for (row, _), is_ready in zip(started, outcomes, strict=True)
                if is_ready is True
            ]
            of = [(origin.get(), row.user, row.name) for row in ready]
            await self._audit.record_many(session, "server.ready", of)
            failpoint(Failpoint.READY_BEFORE_COMMIT)
        failpoint(Failpoint.READY_AFTER_COMMIT)
        return outcomes

    def _ready(self, row: ServerRow, server: db.Server | None, running: Running) -> bool:
        server = self._as_begun(row, server)
        if server is None:
            return False
        server.state = ServerState.READY
        server.started = server.last_activity = self._clock()
        _place(server, running)
        return True

    async def _fail(self, row: ServerRow, reason: str) -> None:
        reason = _line(reason)
        await self.end(row)
        before = Failpoint.START_FAILED_BEFORE_COMMIT
        if not await self._commit_gone(row, reason, "server.start-failed", "failed", before):
            return
        failpoint(Failpoint.START_FAILED_AFTER_COMMIT)
        log.warning("Server %s of %s did not start: %s", row.name or "(default)", row.user, reason)

    @retried
    async def _commit_gone(
        self, row: ServerRow, reason: str, action: str, outcome: str, before: Failpoint
    ) -> bool:
        """Write that nothing runs any more, and why; False if a newer request has decided."""
        async with self._store.begin() as session:
            server = await self._required(session, row)
            if server is None:
                return False
            _gone(server, reason)
            self._audit.record(
                session, action, user=row.user, server=row.name, outcome=outcome, message=reason
            )
            failpoint(before)
        return True

    # -- stopping and deleting -------------------------------------------------------------------

    async def stop(self, row: ServerRow) -> None:
        """Stop a server that is stopping."""
        failpoint(Failpoint.SPAWNER_STOP_BEFORE)
        await self.end(row)
        failpoint(Failpoint.SPAWNER_STOP_AFTER)
        if await self._commit_stopped(row):
            log.info("Server %s of %s is stopped", row.name or "(default)", row.user)
            await self._after_stop(row)

    @retried
    async def _commit_stopped(self, row: ServerRow) -> bool:
        async with self._store.begin() as session:
            server = await self._required(session, row, same_generation=False)
            if server is None:
                return False
            again = server.desired_running
            _gone(server, "")
            if again:
                server.state, server.desired_running = ServerState.STARTING, True
            self._audit.record(session, "server.stopped", user=row.user, server=row.name)
            failpoint(Failpoint.STOPPED_BEFORE_COMMIT)
        failpoint(Failpoint.STOPPED_AFTER_COMMIT)
        return True

    async def end(self, row: ServerRow) -> None:
        """End what there is of a workspace.

        Raises:
            KworkspaceError: it takes too long; to be tried again.
        """
        limit = self._spawner.stop_limit()
        try:
            async with asyncio.timeout(limit):
                await self._spawner.stop(row.id, row.slug)
        except TimeoutError:
            raise KworkspaceError(f"{row.slug} did not stop within {limit:.0f} s") from None

    async def _after_stop(self, row: ServerRow) -> None:
        try:
            async with asyncio.timeout(POST_STOP_HOOK_SECONDS):
                await call_hook(self._spawner.post_stop_hook, self._spawner, self._workspace(row))
        except Exception:
            log.exception("post_stop_hook failed for server %s", row.id)

    async def delete(self, row: ServerRow) -> None:
        """Delete a stopped server with its files, and its user who is to go if it is the last.

        Raises:
            KworkspaceError: it takes too long; to be tried again.
        """
        failpoint(Failpoint.SPAWNER_DELETE_BEFORE)
        try:
            async with asyncio.timeout(DELETE_SECONDS):
                await self._spawner.delete(row.id, row.slug, user=row.user, name=row.name)
        except TimeoutError:
            raise KworkspaceError(f"{row.slug} was not deleted in {DELETE_SECONDS:.0f} s") from None
        failpoint(Failpoint.SPAWNER_DELETE_AFTER)
        if await self._commit_deleted(row):
            log.info("Server %s of %s is deleted", row.name or "(default)", row.user)

    @retried
    async def _commit_deleted(self, row: ServerRow) -> bool:
        async with self._store.begin() as session:
            await serialize(session, queries.SERVERS)
            server = await self._required(session, row)
            if server is None or not server.deleting:
                return False
            person = server.user
            await session.delete(server)
            self._audit.record(session, "server.deleted", user=row.user, server=row.name)
            if await user_queries.delete_if_empty(session, person):
                self._audit.record(session, "user.removed", user=row.user)
            failpoint(Failpoint.DELETED_BEFORE_COMMIT)
        failpoint(Failpoint.DELETED_AFTER_COMMIT)
        return True

    # -- while it runs, and after it has ended by itself -----------------------------------------

    async def compare(self, row: ServerRow) -> bool:
        """Adopt what the spawner has of a server that is ready, or see it gone; whether it was."""
        running = await self._spawner.find(row.id, row.slug, user=row.user, name=row.name)
        if running is None:
            return await self.ended(row, "it ended while the hub was away")
        if running.object_uid != row.object_uid:
            await self._commit_place(row, running)
        await self._spawner.refresh(self._workspace(row))
        return False

    @retried
    async def _commit_place(self, row: ServerRow, running: Running) -> None:
        async with self._store.begin() as session:
            if (server := await self._required(session, row)) is not None:
                _place(server, running)

    async def ended(self, row: ServerRow, reason: str) -> bool:
        """Write that a ready server has ended by itself; False if it is known already."""
        reason, before = _line(reason), Failpoint.EXIT_BEFORE_COMMIT
        if not await self._commit_gone(row, reason, "server.ended", "ended", before):
            return False
        failpoint(Failpoint.EXIT_AFTER_COMMIT)
        log.warning("Server %s of %s ended: %s", row.name or "(default)", row.user, reason)
        await self._after_stop(row)
        return True

    async def _required(
        self, session: AsyncSession, row: ServerRow, *, same_generation: bool = True
    ) -> db.Server | None:
        """Return the row to write to, or None if a newer request has decided otherwise.

        Raises:
            LeaseLost: another process does this work now.
        """
        await self._leases.require(session, server_lease(row.id))
        server = await queries.get(session, row.id)
        return self._as_begun(row, server, same_generation=same_generation)

    def _as_begun(
        self, row: ServerRow, server: db.Server | None, *, same_generation: bool = True
    ) -> db.Server | None:
        """Return what was found of a server if it is as the step began with it."""
        if (
            server is not None
            and server.state is row.state
            and (server.generation == row.generation or not same_generation)
        ):
            return server
        learn(self._readmodel, row.id, server)
        return None


def learn(readmodel: ReadModel, id: str, server: db.Server | None) -> ServerRow | None:
    """Take over what a transaction that changes nothing has read of a server; return it."""
    if server is None:
        readmodel.apply(Changes(gone=[(db.Server.__tablename__, id)]))
    else:
        readmodel.apply(Changes(saved=[server]))
    return readmodel.server(id)


def _place(server: db.Server, running: Running) -> None:
    server.object_uid, server.account = running.object_uid, running.account
    server.host, server.port, server.host_key = running.host, running.port, running.host_key


def _line(reason: str) -> str:
    """Return a reason as a line to keep: a workspace's owner may have said it, at any length.

    Postgres takes no NUL, and what could not be written would be tried for ever.
    """
    text = "".join(char if char.isprintable() else " " for char in reason[: 2 * MOST_CHARACTERS])
    return " ".join(text.split())[:MOST_CHARACTERS]


def _gone(server: db.Server, error: str) -> None:
    server.state, server.desired_running, server.error = ServerState.STOPPED, False, error
    server.object_uid = server.host = server.port = server.host_key = server.account = None
    server.started = None
