"""The sessions that are open: what gateways report of them, and how they end.

The hub wants one ended by a row's `end_message`: whoever hears of it late, hears of it.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import Forbidden, NotFound, TooMany
from kworkspace.cli.client.models import GatewayReport, SessionEnd
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import sessions as queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.moment import now as database_now
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.gateways import Gateways
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.session_policy import SessionPolicy

SILENCE_SECONDS = 120.0
MAX_IDLE = 30 * 86400.0

FULL = "You have too many connections open; close some of them and try again"
IDLE = "Nothing was typed or printed for too long; your workspace keeps running"
KEY_GONE = "The key that you signed in with is no longer good here"

Find = Callable[[AsyncSession], Awaitable[Sequence[db.Session]]]


class OpenSessions:
    """Keeps them, relays and tunnels.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        authenticator: whose keys are whose.
        gateways: where commands go.
        clock: now.
        policy: what the options say of sessions.
        seconds: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        authenticator: Authenticator,
        gateways: Gateways,
        clock: Clock,
        policy: SessionPolicy = SessionPolicy(),  # noqa: B008  frozen
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._authenticator = authenticator
        self._gateways = gateways
        self._clock = clock
        self.policy = policy
        self._seconds = seconds
        self._unheard: dict[str, tuple[datetime, float]] = {}

    async def check_room(self, session: AsyncSession, actor: str) -> None:
        """See that somebody may open one more session in this transaction.

        Raises:
            TooMany: they have as many as they may.
        """
        await serialize(session, f"sessions of {actor}")
        most = self.policy.most_of_user
        if most and await queries.count_open_by(session, actor) >= most:
            raise TooMany(FULL)

    async def announce(self, actor: str, server: ServerRow) -> None:
        """Tell the owner, who may be in their workspace, that somebody else has come in."""
        if actor == server.user:
            return
        async with self._store.begin() as session:
            rows = await queries.open_of_server(session, server.id)
        theirs = [row.id for row in rows if row.actor == server.user]
        self._gateways.show(theirs, f"{actor} has joined your workspace")

    async def server_of(self, id: str) -> ServerRow:
        """Return the server of an open session.

        Raises:
            NotFound: there is no such open session.
            Forbidden: it is to end, as with a key that is no longer good.
        """
        _, server = await self.actor_and_server(id)
        return server

    async def people_of(self, id: str) -> tuple[str, str]:
        """Return who logged in to an open session, and whose workspace it is.

        Raises:
            NotFound: there is no such open session.
            Forbidden: it is to end, as with a key that is no longer good.
        """
        async with self._store.begin() as session:
            row = await self._open(session, id)
            if row.server is None or row.kind == "tunnel":
                raise NotFound(f"Session {id} has no workspace any more")
            return row.actor, row.server.user.name

    async def actor_and_server(self, id: str) -> tuple[str, ServerRow]:
        async with self._store.begin() as session:
            row = await self._open(session, id)
        server = self._readmodel.server(row.server_id or "")
        if server is None:
            raise NotFound(f"Session {id} has no workspace any more")
        return row.actor, server

    async def _open(self, session: AsyncSession, id: str) -> db.Session:
        row = await queries.get(session, id)
        if row is None or row.ended is not None:
            raise NotFound(f"There is no open session {id}")
        # It is to end, and its gateway has not heard of it, or does not want to.
        if not self._is_good(row):
            raise Forbidden(KEY_GONE)
        if row.end_message is not None:
            raise Forbidden(row.end_message)
        return row

    @retried
    async def close(self, id: str, end: SessionEnd) -> None:
        """A session ended; telling it twice changes nothing."""
        async with self._store.begin() as session:
            row = await queries.get(session, id)
            if row is not None and row.ended is None:
                self._active(row, self._clock())
                self._end(session, row, end.reason)

    def _active(self, row: db.Session, when: datetime) -> None:
        """Somebody was active in a session, and so in its server, and so is its user."""
        row.last_activity = max(row.last_activity, when)
        server = row.server
        if server is None:
            return
        if server.last_activity is None or server.last_activity < row.last_activity:
            server.last_activity = server.user.last_activity = row.last_activity

    def _end(self, session: AsyncSession, row: db.Session, reason: str) -> None:
        row.ended, row.end_reason = self._clock(), reason[:1000]
        server = row.server
        self._audit.record(
            session,
            "session.end",
            user=None if server is None else server.user.name,
            server=None if server is None else server.name,
            message=row.end_reason,
        )

    async def report(self, instance: str, report: GatewayReport) -> None:
        """A gateway says where its door is, which sessions it has, and what they did.

        What it missed of the ends that it was told of, or what nobody told it, it is told now.
        """
        self._gateways.report(instance, report.door, report.tunnel_port)
        self._tell(await self._take_over(instance, report))

    @retried
    async def _take_over(self, instance: str, report: GatewayReport) -> list[db.Session]:
        """Write what a gateway reports; return the sessions that it must end."""
        idle = {activity.id: activity.idle for activity in report.sessions}
        to_end: list[db.Session] = []
        async with self._store.begin() as session:
            now = await database_now(session, self._clock)
            for row in await queries.open_of_gateway(session, instance):
                if row.id not in idle:
                    if (now - row.started).total_seconds() > SILENCE_SECONDS:
                        self._end(session, row, "the gateway no longer has it")
                    continue
                row.last_report = now
                seconds = min(max(0.0, idle[row.id]), MAX_IDLE)
                self._active(row, self._clock() - timedelta(seconds=seconds))
                if row.end_message is None and not self._is_good(row):
                    row.end_message = KEY_GONE
                if row.end_message is None and 0 < self.policy.idle_seconds <= seconds:
                    row.end_message = IDLE
                if row.end_message is not None:
                    to_end.append(row)
        return to_end

    # -- ending them -----------------------------------------------------------------------------

    async def end_of_server(
        self, server: ServerRow, message: str, *, but: str | None = None
    ) -> None:
        """Have the sessions in a server ended, with a line in their terminals.

        Args:
            server: which.
            message: the line.
            but: the session that is not, because it asks for it and waits for the outcome.
        """

        async def find(session: AsyncSession) -> Sequence[db.Session]:
            rows = await queries.open_of_server(session, server.id)
            return [row for row in rows if row.id != but]

        await self._have_ended(find, message)

    async def end_of_user(self, user: str, message: str) -> None:
        """Have the sessions of a user ended, and those of others in their workspaces."""
        await self._have_ended(lambda session: queries.open_of_user(session, user), message)

    async def end_of_token(self, token_id: str, message: str) -> None:
        """Have the tunnels ended that a token has opened."""
        await self._have_ended(lambda session: queries.open_of_token(session, token_id), message)

    async def end_not_good(self, users: Collection[str], message: str = KEY_GONE) -> None:
        """Have the sessions ended that were opened with a key that is no longer good.

        Args:
            users: whose keys have changed.
            message: for their terminals.
        """

        async def find(session: AsyncSession) -> Sequence[db.Session]:
            rows = await queries.open_all(session)
            return [row for row in rows if row.actor in users and not self._is_good(row)]

        await self._have_ended(find, message)

    def _is_good(self, row: db.Session) -> bool:
        server = row.server
        own = server is None or server.user.name == row.actor
        if row.key_fingerprint:
            good = self._authenticator.is_good(row.actor, row.key_fingerprint)
        else:  # a tunnel by a token that an admin has made
            good = self._authenticator.may_enter(row.actor)
        return good and (own or self._authenticator.is_admin(row.actor))

    async def _have_ended(self, find: Find, message: str) -> None:
        self._tell(await self._mark(find, message))

    @retried
    async def _mark(self, find: Find, message: str) -> Sequence[db.Session]:
        """Write down that sessions are to end: whoever hears of it late, hears of it."""
        async with self._store.begin() as session:
            rows = await find(session)
            for row in rows:
                row.end_message = message
        return rows

    def _tell(self, rows: Sequence[db.Session]) -> None:
        """Tell the gateways, now that it is committed."""
        for message in {row.end_message or "" for row in rows}:
            ids = [row.id for row in rows if row.end_message == message]
            self._gateways.end_sessions(ids, message)

    @retried
    async def sweep(self) -> None:
        """End the sessions of gateways that are gone: nobody has reported them for a while.

        Whether a report has come since is seen by its being another one, and how long that is by
        this process's own seconds: whatever a clock jumps to, nobody's session ends by it.
        """
        async with self._store.begin() as session:
            rows = await queries.open_all(session)
            seconds = self._seconds()
            before, self._unheard = self._unheard, {}
            for row in rows:
                last, since = before.get(row.id, (row.last_report, seconds))
                if last != row.last_report:
                    since = seconds
                if seconds - since > SILENCE_SECONDS:
                    self._end(session, row, "its gateway is gone")
                else:
                    self._unheard[row.id] = (row.last_report, since)
