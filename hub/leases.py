"""Which hub process does a piece of work, until when.

A lease is claimed in a transaction, renewed for all of a holder's work in one statement, and
required again in every transaction that writes a result: who has lost it writes nothing. Time is
the database's on Postgres, so that no hub's clock matters. While the database is away nothing is
lost: a lease that is over is still ours until somebody else takes it.
"""

import asyncio
import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import leases as queries
from kworkspace.hub.db.store import Store, retried
from kworkspace.spawners.processes import boot_id

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0

SERVER_LEASE = "server:"

OnLost = Callable[[str, str], None]


def server_lease(id: str) -> str:
    """Return the name of the lease under which a server is worked at."""
    return f"{SERVER_LEASE}{id}"


class LeaseLost(Exception):
    """Another process may do this work now; what was to be written must not be."""


def machine() -> str:
    """Return what names this machine, or container: hubs of one see each other's processes."""
    namespace = Path("/proc/self/ns/pid").readlink()
    return hashlib.sha256(f"{boot_id()} {namespace}".encode()).hexdigest()[:16]


def new_holder() -> str:
    """Return a name for this process that no other one ever has; it begins with the machine's."""
    return f"{machine()}-{uuid.uuid4().hex[:12]}-{os.getpid()}"


def same_machine(one: str, other: str) -> bool:
    """Whether two holders are, or were, on the same machine."""
    return one.partition("-")[0] == other.partition("-")[0]


class Leases:
    """The leases of this process.

    Args:
        store: the database.
        clock: now, for SQLite.
        holder: names this process, never used again by another one.
        seconds: how long a lease lasts without renewal.
    """

    def __init__(
        self, *, store: Store, clock: Clock, holder: str, seconds: float = LEASE_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self.holder = holder
        self._length = timedelta(seconds=seconds)
        self._ours: set[str] = set()
        self._on_lost: list[OnLost] = []

    def on_lost(self, tell: OnLost) -> None:
        """Have a function called with each lease that somebody else has taken, and their name."""
        self._on_lost.append(tell)

    def has(self, name: str) -> bool:
        """Whether a piece of work is ours, as far as is known here; `held_in` knows for sure."""
        return name in self._ours

    @retried
    async def claim(self, name: str) -> bool:
        """Claim a piece of work; False while another process holds it."""
        async with self._store.begin() as session:
            return bool(await self.claim_in(session, name))

    async def claim_in(self, session: AsyncSession, *names: str) -> Collection[str]:
        """Claim work in the caller's transaction; return what is ours when that is committed."""
        claimed = await queries.claim(
            session, names, self.holder, length=self._length, clock=self._clock
        )
        _on_commit(session, lambda: self._ours.update(claimed))
        return claimed

    async def require(self, session: AsyncSession, name: str) -> None:
        """Check, within the transaction that depends on it, that the lease is still ours.

        Raises:
            LeaseLost: it is not.
        """
        if not await self.held_in(session, [name]):
            raise LeaseLost(name)

    async def held_in(self, session: AsyncSession, names: Collection[str]) -> Collection[str]:
        """Return which leases are still ours; they stay so until the transaction ends."""
        return await queries.held(session, names, self.holder)

    @retried
    async def release(self, name: str) -> None:
        """Give a lease back."""
        async with self._store.begin() as session:
            await self.release_in(session, name)

    async def release_in(self, session: AsyncSession, *names: str) -> Collection[str]:
        """Give leases back in the caller's transaction; return which were ours, and so still are.

        They are ours until it is committed: it may wait for another one that claims them anew.
        """
        _on_commit(session, lambda: self._ours.difference_update(names))
        return await queries.release(session, names, self.holder)

    @retried
    async def clear(self) -> None:
        """Void every lease; only for the hub that holds SQLite's lock file."""
        async with self._store.begin() as session:
            await queries.clear(session)

    @retried
    async def purge(self, age: timedelta) -> None:
        """Delete leases that have been over for longer."""
        async with self._store.begin() as session:
            await queries.delete_over(session, age=age, clock=self._clock)

    async def aclose(self) -> None:
        """Give everything back: other hubs need not wait."""
        try:
            async with self._store.begin() as session:
                await queries.release_all(session, self.holder)
        except KworkspaceError as error:
            log.error("Leases could not be given back: %s", error)

    async def keep(self) -> None:
        """Renew for ever, three times as often as needed, and tell which leases were lost."""
        while True:
            await asyncio.sleep(self._length.total_seconds() / 3)
            try:
                lost = await self.renew()
            except KworkspaceError as error:
                log.error("Leases could not be renewed: %s", error)
                continue
            for name, holder in lost.items():
                log.warning("The lease %s is %s's now", name, holder)
                for tell in self._on_lost:
                    tell(name, holder)

    @retried
    async def renew(self) -> dict[str, str]:
        """Renew what is ours; return what somebody else has taken, and who."""
        before = set(self._ours)
        async with self._store.begin() as session:
            renewed = await queries.renew(
                session, self.holder, length=self._length, clock=self._clock
            )
            missing = before.difference(renewed)
            taken = await queries.holders(session, missing) if missing else {}
        # What was given back, or claimed again, meanwhile is neither.
        lost = {
            name: holder
            for name, holder in taken.items()
            if name in self._ours and holder != self.holder
        }
        self._ours.difference_update(lost)
        return lost


def _on_commit(session: AsyncSession, then: Callable[[], None]) -> None:
    """Call a function when a transaction is committed, and so in the order of transactions."""
    event.listen(session.sync_session, "after_commit", lambda _: then(), once=True)
