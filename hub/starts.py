"""Servers that are asked for: found, made or started, for many who ask in one transaction.

`hub.servers` asks. The limits are checked in the transaction that writes, and what one is refused
is refused to nobody else. How many may wait for their turn is bounded, for one user's servers too:
the others hear at once that there is too much to do.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from kworkspace.cli.client.models import ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.audit import Audit, Origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as queries
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.errors import Again
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.driver import Driver
from kworkspace.hub.failpoints import Failpoint, failpoint
from kworkspace.hub.slugs import candidates
from kworkspace.hub.together import Together

RUNS = (ServerState.STARTING, ServerState.READY, ServerState.STOPPING)

MOST_WAITING = 5000
MOST_WAITING_OF_USER = 100


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for: that there is a server.

    Attributes:
        user: the owner.
        name: the workspace's name, "" for the default one.
        by: who asks.
        start: whether it is to run.
        options: what it is to run with; None keeps what was asked for last.
    """

    user: str
    name: str
    by: Origin
    start: bool = False
    options: dict[str, Any] | None = None


@dataclass(slots=True)
class _Found:
    """What the transaction has read for all who ask, and keeps up to date as it goes on.

    Attributes:
        people: by name.
        servers: by their user's name and their own.
        slugs: that are taken, of those that may be wanted.
        running, starting: how many servers there are that count for the limits.
        begun: what is to be driven, and for whom.
    """

    people: dict[str, db.User]
    servers: dict[tuple[str, str], db.Server]
    slugs: set[str]
    running: int
    starting: int
    begun: list[tuple[db.Server, Asked]] = field(default_factory=list)


class Starts:
    """Writes them.

    Args:
        store: the database.
        audit: the audit log.
        driver: does what was asked for.
        clock: now.
        limits: how many.
        tasks: owns what is under way.
    """

    def __init__(
        self,
        *,
        store: Store,
        audit: Audit,
        driver: Driver,
        clock: Clock,
        limits: Limits,
        tasks: Tasks,
    ) -> None:
        self._store = store
        self._audit = audit
        self._driver = driver
        self._clock = clock
        self._limits = limits
        self._waiting: Counter[str] = Counter()
        self._together = Together(self._write, tasks, most_waiting=MOST_WAITING)

    async def ask(self, asked: Asked) -> tuple[str, bool]:
        """Return a server's id, and whether it is new.

        Raises:
            NotFound: no such user.
            AlreadyRunning: it is to be started, and runs.
            BadRequest: named servers are not allowed, or they have as many as they may.
            Conflict: it, or its user, is being deleted.
            TooMany: a limit is reached.
            Unavailable: too many wait.
        """
        if self._waiting[asked.user] >= MOST_WAITING_OF_USER:
            raise TooMany(f"Too many requests for {asked.user}'s workspaces wait already", 1)
        self._waiting[asked.user] += 1
        try:
            return await self._together(asked)
        finally:
            self._waiting[asked.user] -= 1
            if not self._waiting[asked.user]:
                del self._waiting[asked.user]

    @retried
    async def _write(self, items: Sequence[Asked]) -> Sequence[tuple[str, bool] | Exception]:
        async with self._store.begin() as session:
            await serialize(session, queries.SERVERS)
            found = await self._find(session, items)
            try:
                outcomes = [await self._outcome(session, found, asked) for asked in items]
                await session.flush()
            except IntegrityError as error:
                raise Again("A workspace was made elsewhere at this very moment") from error
            if found.begun:
                await self._driver.claim_in(session, *(server.id for server, _ in found.begun))
                active = {server.user for server, _ in found.begun}
                await user_queries.note_activity(session, active, self._clock())
                of = [(asked.by, asked.user, asked.name) for _, asked in found.begun]
                await self._audit.record_many(session, "server.start", of)
            failpoint(Failpoint.START_REQUEST_BEFORE_COMMIT)
        failpoint(Failpoint.START_REQUEST_AFTER_COMMIT)
        for server, _ in found.begun:
            self._driver.kick(server.id)
        return [
            outcome if isinstance(outcome, Exception) else (outcome[0].id, outcome[1])
            for outcome in outcomes
        ]

    async def _find(self, session: AsyncSession, items: Sequence[Asked]) -> _Found:
        people = await user_queries.of_names(session, {asked.user for asked in items})
        ids = {person.name: person.id for person in people}
        keys = {(ids[asked.user], asked.name) for asked in items if asked.user in ids}
        servers = await queries.find_many(session, keys)
        known = {(server.user.name, server.name): server for server in servers}
        new = {(asked.user, asked.name) for asked in items} - known.keys()
        slugs = {next(candidates(*key)) for key in new}
        limits = self._limits
        return _Found(
            people={person.name: person for person in people},
            servers=known,
            slugs=set(await queries.taken(session, slugs)) if slugs else set(),
            running=await queries.count(session, states=RUNS) if limits.active_servers else 0,
            starting=await queries.count_to_start(session) if limits.concurrent_spawns else 0,
        )

    async def _outcome(
        self, session: AsyncSession, found: _Found, asked: Asked
    ) -> tuple[db.Server, bool] | KworkspaceError:
        """Change what is to be changed for one who asks, or nothing."""
        try:
            person = found.people.get(asked.user)
            if person is None:
                raise NotFound(f"User {asked.user} does not exist")
            if person.removing:
                raise Conflict(f"User {asked.user} is being removed")
            known = found.servers.get((asked.user, asked.name))
            server = await self._new(session, found, person, asked) if known is None else known
            if server.deleting:
                raise Conflict(f"{describe(asked.user, asked.name)} is being deleted")
            if asked.start:
                self._start(found, server, asked)
        except KworkspaceError as error:
            return error
        if known is None:
            session.add(server)
            found.servers[asked.user, asked.name] = server
            found.slugs.add(server.slug)
        return server, known is None

    async def _new(
        self, session: AsyncSession, found: _Found, person: db.User, asked: Asked
    ) -> db.Server:
        """Return a server that is not in the database yet."""
        if asked.name:
            await self._check_named(session, person)
        return db.Server(
            user=person,
            name=asked.name,
            slug=await _free_slug(session, found, asked),
            state=ServerState.STOPPED,
            deleting=False,
            desired_running=False,
            generation=0,
            created=self._clock(),
        )

    async def _check_named(self, session: AsyncSession, person: db.User) -> None:
        if not self._limits.allow_named_servers:
            raise BadRequest("Named workspaces are not enabled on this hub")
        limit = self._limits.named_servers_per_user
        if limit and await queries.count_named(session, person) >= limit:
            raise BadRequest(
                f"{person.name} has {limit} named workspaces, which is the limit: delete one first"
            )

    def _start(self, found: _Found, server: db.Server, asked: Asked) -> None:
        match server.state:
            case ServerState.READY:
                raise AlreadyRunning(f"{describe(asked.user, asked.name)} is already running")
            case ServerState.STARTING:
                return
            case ServerState.STOPPING:
                if server.desired_running:
                    return
                self._check_starting(found)  # it holds its place among those that run already
            case ServerState.STOPPED:
                self._check_running(found)
                self._check_starting(found)
                found.running += 1
                server.state = ServerState.STARTING
        found.starting += 1
        server.desired_running = True
        server.generation += 1
        server.error = ""
        server.last_activity = self._clock()
        if asked.options is not None:
            server.options = asked.options
        found.begun.append((server, asked))

    def _check_running(self, found: _Found) -> None:
        limit = self._limits.active_servers
        if limit and found.running >= limit:
            raise TooMany(
                f"The hub runs {limit} workspaces, which is its limit: try again later", 60
            )

    def _check_starting(self, found: _Found) -> None:
        limit = self._limits.concurrent_spawns
        if limit and found.starting >= limit:
            raise TooMany(f"{limit} workspaces are starting at once: try again in a moment", 10)


async def _free_slug(session: AsyncSession, found: _Found, asked: Asked) -> str:
    slugs = candidates(asked.user, asked.name)
    if (first := next(slugs)) not in found.slugs:
        return first
    for slug in slugs:
        if not await queries.taken(session, [slug]):
            return slug
    raise KworkspaceError(f"No free slug for {describe(asked.user, asked.name)}")


def describe(user: str, name: str) -> str:
    """Return how a message calls a server."""
    return f"{user}'s workspace {name}" if name else f"{user}'s workspace"
