"""What follows when people or their keys have changed, wherever: here, elsewhere, in a directory.

New people get their row; tokens and sessions of keys that are gone end, and those of people who
may not come in; running workspaces learn which keys open them. Every hub does it for every change
that it hears of, so that a hub that dies half-way leaves nothing undone; doing it twice is nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.models import ServerState
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.admission import Admission
from kworkspace.hub.audit import Audit, Origin, origin
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import tokens as queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import ReadModel
from kworkspace.hub.users import is_named, named, take_over

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Consequences:
    """Draws them.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        clock: now.
        authenticator: whom the configuration names.
        admission: who may come in.
        end_sessions: ends these users' sessions whose key is not good.
        check: has a server compared with what runs, its keys too.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        clock: Clock,
        authenticator: Authenticator,
        admission: Admission,
        end_sessions: Callable[[Collection[str]], Awaitable[None]],
        check: Callable[[str], object],
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._clock = clock
        self._authenticator = authenticator
        self._admission = admission
        self._end_sessions = end_sessions
        self._check = check
        self._tasks = Tasks()
        self._changed: set[str] = set()
        self._at_work = False

    async def aclose(self) -> None:
        """Stop; the next process begins with everybody."""
        await self._tasks.aclose()

    def changed(self, users: Collection[str]) -> None:
        """See to these users, soon: their keys, or whether they may come in, have changed."""
        self._changed |= set(users)
        if self._changed and not self._at_work:
            self._at_work = True
            self._tasks.spawn(self._see_to_changed(), "see to changed keys")

    async def _see_to_changed(self) -> None:
        origin.set(Origin())  # not the request's that happened to be there
        try:
            while self._changed:
                users, self._changed = self._changed, set()
                try:
                    await self._draw(users)
                except KworkspaceError as error:
                    # Meanwhile tokens do not count, and sessions end at their gateway's reports.
                    log.error("What follows from changed keys is not done: %s; again soon", error)
                    self._changed |= users
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._at_work = False

    async def _draw(self, users: Collection[str]) -> None:
        await self._take_over({user for user in users if is_named(self._authenticator, user)})
        await self.enforce(users)
        for user in users:
            for row in self._readmodel.servers_of(user).values():
                if row.state in {ServerState.STARTING, ServerState.READY}:
                    self._check(row.id)

    async def begin(self, *, also: Collection[str] = ()) -> None:
        """See to everybody, when a hub starts; what runs is compared by the reconciler.

        Args:
            also: users who are to have a row, whoever else names them.
        """
        await self._take_over({*named(self._authenticator), *also})
        await self.enforce({row.name for row in self._readmodel.users()})

    async def _take_over(self, names: Collection[str]) -> None:
        if new := [name for name in names if self._readmodel.user(name) is None]:
            await take_over(store=self._store, audit=self._audit, clock=self._clock, names=new)

    async def enforce(self, users: Collection[str]) -> None:
        """End the tokens and sessions of these users that do not count any more."""
        digests = {
            token.digest
            for user in users
            for token in self._readmodel.tokens_of(user)
            if not self._admission.counts(token)
        }
        if digests:
            await self._revoke(digests)
        await self._end_sessions(users)

    @retried
    async def _revoke(self, digests: Collection[str]) -> None:
        async with self._store.begin() as session:
            await serialize(session, queries.REVOCATION)
            for token in await queries.of_digests(session, digests):
                await session.delete(token)
                name = token.user.name if token.user else None
                self._audit.record(session, "token.revoked", user=name, message="its key is gone")
