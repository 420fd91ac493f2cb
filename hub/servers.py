"""Requests on servers: each writes what is wanted; `hub.starts` writes starts, within the limits.

The handlers and the gateway's sessions call this; the driver then makes it so. Nothing is started
or stopped here, so that a request is as quick as a commit and survives the process.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import BadRequest, NotFound
from kworkspace.cli.client.models import Profile, ProfileOption, ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.audit import Audit, origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.driver import Driver
from kworkspace.hub.failpoints import Failpoint, failpoint
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.starts import Asked, Limits, Starts, describe
from kworkspace.spawners.base import Spawner

PENDING = (ServerState.STARTING, ServerState.STOPPING)

_LAST_WAIT_SECONDS = 0.2
_MOST_NESTED = 16


class Servers:
    """Starts and stops on request.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        driver: does what was requested.
        spawner: says what can be asked for.
        clock: now.
        limits: how many.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        driver: Driver,
        spawner: Spawner,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._driver = driver
        self._spawner = spawner
        self._tasks = Tasks()
        self._starts = Starts(
            store=store, audit=audit, driver=driver, clock=clock, limits=limits, tasks=self._tasks
        )
        self._waits: set[asyncio.Timeout] = set()
        self._waiting_ended = False

    async def aclose(self) -> None:
        """Write nothing more; who waits for it is cancelled."""
        await self._tasks.aclose()

    async def start(self, user: str, name: str, options: dict[str, Any] | None = None) -> ServerRow:
        """Want a server to run; one that is being stopped starts again after that.

        Args:
            user: the owner.
            name: the workspace's name, "" for the default one.
            options: what the user asks for; None keeps what was asked for last.

        Returns:
            The server as it now is; it may be starting already.

        Raises:
            BadRequest: what it asks for cannot be had.
            KworkspaceError: see `Starts.ask`.
        """
        if options is not None:
            _check_nesting(options)
            self._spawner.check_options(options)
        row, _ = await self._ask(user, name, start=True, options=options)
        return row

    async def _ask(
        self, user: str, name: str, *, start: bool = False, options: dict[str, Any] | None = None
    ) -> tuple[ServerRow, bool]:
        asked = Asked(user=user, name=name, by=origin.get(), start=start, options=options)
        id, made = await self._starts.ask(asked)
        return self._row(id), made

    def profiles(self) -> list[Profile]:
        """Return what a user may ask for by name when they start a server."""
        return [
            Profile(
                slug=profile.slug,
                display_name=profile.title,
                description=profile.description,
                default=profile.default,
                options=[
                    ProfileOption(
                        name=option.name,
                        choices=list(option.choices),
                        default=option.default,
                        unlisted=option.unlisted,
                    )
                    for option in profile.options
                ],
            )
            for profile in self._spawner.profiles()
        ]

    async def ensure(self, user: str, name: str) -> ServerRow:
        """Return a user's server, made if it is the default one and they never had it.

        Raises:
            NotFound: no such user, or no such named workspace.
        """
        row = self._readmodel.server_of(user, name)
        if row is not None:
            return row
        if name:
            raise NotFound(f"{describe(user, name)} does not exist")
        row, _ = await self._ask(user, name)
        return row

    async def create(self, user: str, name: str) -> tuple[ServerRow, bool]:
        """Make a server without starting it; return it, and whether there was none.

        Raises:
            KworkspaceError: see `Starts.ask`.
        """
        return await self._ask(user, name)

    @retried
    async def delete(self, user: str, name: str) -> ServerRow:
        """Want a named server to be gone, its files too; one that runs is stopped first.

        Raises:
            NotFound: no such user or server.
            BadRequest: it is the default one, as in JupyterHub.
        """
        if not name:
            raise BadRequest("The default workspace cannot be deleted, only stopped")
        async with self._store.begin() as session:
            server = await self._find(session, user, name)
            want_deleted(session, self._audit, server)
        self.see_to([server.id])
        return self._row(server.id)

    def see_to(self, ids: Iterable[str]) -> None:
        """Have what is wanted done, now that it is committed."""
        for id in ids:
            self._driver.kick(id)

    async def gone(self, ids: Iterable[str], seconds: float) -> bool:
        """Wait until servers are deleted, but not longer than this many seconds."""
        try:
            async with self._at_most(seconds):
                for id in ids:
                    await self._readmodel.server_when(id, lambda _row: False)
        except TimeoutError:
            return False
        return True

    @retried
    async def stop(self, user: str, name: str) -> ServerRow:
        """Want a server not to run; one that is starting stops.

        Raises:
            NotFound: no such user or server.
        """
        async with self._store.begin() as session:
            server = await self._find(session, user, name)
            changed = server.state is not ServerState.STOPPED and server.desired_running
            if changed:
                server.state = ServerState.STOPPING
                server.desired_running = False
                server.generation += 1
                self._audit.record(session, "server.stop", user=user, server=name)
            failpoint(Failpoint.STOP_REQUEST_BEFORE_COMMIT)
        failpoint(Failpoint.STOP_REQUEST_AFTER_COMMIT)
        if changed:
            self._driver.kick(server.id)
        return self._row(server.id)

    async def settle(self, id: str, seconds: float) -> ServerRow:
        """Wait until a server neither starts nor stops, but not longer than this many seconds."""
        try:
            async with self._at_most(seconds):
                row = await self._readmodel.server_when(id, lambda row: row.state not in PENDING)
        except TimeoutError:
            row = None
        return self._row(id) if row is None else row

    @asynccontextmanager
    async def _at_most(self, seconds: float) -> AsyncIterator[None]:
        """Wait in this block for so long, and hardly at all once the process ends."""
        limit = asyncio.timeout(
            min(seconds, _LAST_WAIT_SECONDS) if self._waiting_ended else seconds
        )
        try:
            async with limit:
                self._waits.add(limit)
                yield
        finally:
            self._waits.discard(limit)

    def end_waiting(self) -> None:
        """Have whoever waits for a start or stop answered with how it stands: the process ends."""
        self._waiting_ended = True
        for limit in self._waits:
            limit.reschedule(0)

    def _row(self, id: str) -> ServerRow:
        row = self._readmodel.server(id)
        if row is None:
            raise NotFound("The workspace has just been deleted")
        return row

    async def _find(self, session: AsyncSession, user: str, name: str) -> db.Server:
        person = await user_queries.get(session, user)
        server = None if person is None else await queries.find(session, person, name)
        if server is None:
            raise NotFound(f"{describe(user, name)} does not exist")
        return server


def want_deleted(session: AsyncSession, audit: Audit, server: db.Server) -> None:
    """Write, in the caller's transaction, that a server is to be gone, files and all."""
    if server.deleting:
        return
    server.deleting, server.desired_running = True, False
    server.generation += 1
    if server.state is not ServerState.STOPPED:
        server.state = ServerState.STOPPING
    audit.record(session, "server.delete", user=server.user.name, server=server.name)


def _check_nesting(options: dict[str, Any]) -> None:
    """Refuse what is nested too deeply to be written, or to be read again, wherever that is."""
    values: list[Any] = [options]
    for _ in range(_MOST_NESTED):
        holders = [value for value in values if isinstance(value, dict | list)]
        values = [
            inner
            for holder in holders
            for inner in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not values:
            return
    raise BadRequest(f"body: nested more than {_MOST_NESTED} deep")
