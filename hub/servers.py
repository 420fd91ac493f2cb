"""Requests on servers: each writes what is wanted in one transaction that also checks the limits.

The handlers and the gateway's sessions call this; the driver then makes it so. Nothing is started
or stopped here, so that a request is as quick as a commit and survives the process.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import (
    BadRequest,
    Conflict,
    KworkspaceError,
    NotFound,
    TooMany,
)
from kworkspace.cli.client.models import Profile, ServerState
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.errors import Again
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.driver import Driver
from kworkspace.hub.failpoints import Failpoint, failpoint
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.slugs import candidates
from kworkspace.spawners.base import Spawner

RUNS = (ServerState.STARTING, ServerState.READY, ServerState.STOPPING)
PENDING = (ServerState.STARTING, ServerState.STOPPING)

_LAST_WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """How many servers; 0 is no limit. Named as JupyterHub names them."""

    concurrent_spawns: int = 100
    active_servers: int = 0
    allow_named_servers: bool = False
    named_servers_per_user: int = 0


class AlreadyRunning(BadRequest):
    """It was asked to start what runs; 400, as in JupyterHub."""

    code = "already-running"


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
        self._clock = clock
        self._limits = limits
        self._waits: set[asyncio.Timeout] = set()
        self._waiting_ended = False

    @retried
    async def start(self, user: str, name: str, options: dict[str, Any] | None = None) -> ServerRow:
        """Want a server to run; one that is being stopped starts again after that.

        Args:
            user: the owner.
            name: the workspace's name, "" for the default one.
            options: what the user asks for; None keeps what was asked for last.

        Returns:
            The server as it now is; it may be starting already.

        Raises:
            NotFound: no such user.
            AlreadyRunning: it runs.
            BadRequest: named servers are not allowed, or what it asks for cannot be had.
            Conflict: it is being deleted.
            TooMany: a limit is reached.
        """
        if options is not None:
            self._spawner.check_options(options)
        async with self._store.begin() as session:
            await serialize(session, queries.SERVERS)
            server, _ = await self._find_or_make(session, user, name)
            _check_stays(server)
            match server.state:
                case ServerState.READY:
                    raise AlreadyRunning(f"{describe(user, name)} is already running")
                case ServerState.STARTING:
                    changed = False
                case ServerState.STOPPING:
                    changed = not server.desired_running
                    if changed:  # it holds its place among those that run already
                        await self._check_spawns(session)
                case ServerState.STOPPED:
                    await self._check_limits(session)
                    changed = True
                    server.state = ServerState.STARTING
            if changed:
                server.desired_running = True
                server.generation += 1
                server.error = ""
                server.last_activity = server.user.last_activity = self._clock()
                if options is not None:
                    server.options = options
                self._audit.record(session, "server.start", user=user, server=name)
                await self._driver.claim_in(session, server.id)
            failpoint(Failpoint.START_REQUEST_BEFORE_COMMIT)
        failpoint(Failpoint.START_REQUEST_AFTER_COMMIT)
        self._driver.kick(server.id)
        return self._row(server.id)

    def profiles(self) -> list[Profile]:
        """Return what a user may ask for by name when they start a server."""
        return [
            Profile(
                slug=profile.slug,
                display_name=profile.title,
                description=profile.description,
                default=profile.default,
            )
            for profile in self._spawner.profiles()
        ]

    @retried
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
        async with self._store.begin() as session:
            await serialize(session, queries.SERVERS)
            server, _ = await self._find_or_make(session, user, name)
        return self._row(server.id)

    @retried
    async def create(self, user: str, name: str) -> tuple[ServerRow, bool]:
        """Make a server without starting it; return it, and whether there was none.

        Raises:
            NotFound: no such user.
            BadRequest: named servers are not allowed, or they have as many as they may.
            Conflict: it is being deleted.
        """
        async with self._store.begin() as session:
            await serialize(session, queries.SERVERS)
            server, made = await self._find_or_make(session, user, name)
            _check_stays(server)
        return self._row(server.id), made

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

    async def _find_or_make(
        self, session: AsyncSession, user: str, name: str
    ) -> tuple[db.Server, bool]:
        """Return a server, and whether it is made here and now.

        Raises:
            Again: another hub has made it, or one with its slug, at the same moment.
        """
        person = await user_queries.get(session, user)
        if person is None:
            raise NotFound(f"User {user} does not exist")
        if person.removing:
            raise Conflict(f"User {user} is being removed")
        server = await queries.find(session, person, name)
        if server is not None:
            return server, False
        if name:
            await self._check_named(session, person)
        for slug in candidates(user, name):
            if not await queries.slug_taken(session, slug):
                break
        else:
            raise KworkspaceError(f"No free slug for {describe(user, name)}")
        server = db.Server(user=person, name=name, slug=slug, created=self._clock())
        session.add(server)
        try:
            await session.flush()
        except IntegrityError as error:
            raise Again(f"{describe(user, name)} was made at this very moment") from error
        return server, True

    async def _check_named(self, session: AsyncSession, person: db.User) -> None:
        if not self._limits.allow_named_servers:
            raise BadRequest("Named workspaces are not enabled on this hub")
        limit = self._limits.named_servers_per_user
        if limit and await queries.count_named(session, person) >= limit:
            raise BadRequest(
                f"{person.name} has {limit} named workspaces, which is the limit: delete one first"
            )

    async def _check_limits(self, session: AsyncSession) -> None:
        limit = self._limits.active_servers
        if limit and await queries.count(session, states=RUNS) >= limit:
            raise TooMany(
                f"The hub runs {limit} workspaces, which is its limit: try again later", 60
            )
        await self._check_spawns(session)

    async def _check_spawns(self, session: AsyncSession) -> None:
        limit = self._limits.concurrent_spawns
        if limit and await queries.count_to_start(session) >= limit:
            raise TooMany(f"{limit} workspaces are starting at once: try again in a moment", 10)


def want_deleted(session: AsyncSession, audit: Audit, server: db.Server) -> None:
    """Write, in the caller's transaction, that a server is to be gone, files and all."""
    if server.deleting:
        return
    server.deleting, server.desired_running = True, False
    server.generation += 1
    if server.state is not ServerState.STOPPED:
        server.state = ServerState.STOPPING
    audit.record(session, "server.delete", user=server.user.name, server=server.name)


def describe(user: str, name: str) -> str:
    """Return how a message calls a server."""
    return f"{user}'s workspace {name}" if name else f"{user}'s workspace"


def _check_stays(server: db.Server) -> None:
    if server.deleting:
        raise Conflict(f"{describe(server.user.name, server.name)} is being deleted")
