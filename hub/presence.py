"""Says on the database that this hub lives, and keeps out one that does not fit to those that do.

Hubs on one database must have the same secrets, or what people see and what is let in depends on
which hub they meet; and hubs of a spawner that works on one machine must be on it, with one
directory. Each hub keeps a lease for as long as it lives, whose name carries digests of all that;
no secret is in the database. `run` asks for it before the hub does anything.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.clock import Clock
from kworkspace.hub.config import HubOptions
from kworkspace.hub.db import leases as queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.db.url import sqlite_file
from kworkspace.hub.files import HubLock
from kworkspace.hub.leases import Leases, same_machine

PREFIX = "hub:"


class Misfit(KworkspaceError):
    """This hub has not what the other hubs on the database have; it ends with the message."""

    code = "misfit"


class SecondHub(KworkspaceError):
    """Another hub runs on the same SQLite file."""

    code = "second-hub"


@dataclass(frozen=True, slots=True)
class Shared:
    """Something that all hubs on one database must have the same of.

    Attributes:
        text: the thing; only a digest leaves the process.
        otherwise: the line for an admin whose hub has another one: what to do.
    """

    text: str
    otherwise: str

    @property
    def digest(self) -> str:
        """What other hubs compare: enough to tell, and too little to guess from."""
        return hashlib.sha256(f"kworkspace hub: {self.text}".encode()).hexdigest()[:12]


class Presence:
    """This hub among those on the database.

    Args:
        store: the database.
        leases: this process's leases.
        clock: now, for SQLite.
        shared: what must be the same; in the same order on each hub.
    """

    def __init__(
        self, *, store: Store, leases: Leases, clock: Clock, shared: Sequence[Shared]
    ) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._shared = shared
        digests = ":".join(item.digest for item in shared)
        self._lease = f"{PREFIX}{leases.holder}:{digests}"

    @retried
    async def enter(self) -> None:
        """Be one of the hubs from now on.

        Raises:
            Misfit: another hub that lives has something else.
        """
        async with self._store.begin() as session:
            await serialize(session, "hubs")
            for name in await queries.alive(session, PREFIX, clock=self._clock):
                _, _, *digests = name.split(":")
                for item, theirs in zip(self._shared, digests, strict=False):
                    if item.digest != theirs:
                        raise Misfit(item.otherwise)
            await self._leases.claim_in(session, self._lease)

    @retried
    async def leave(self) -> bool:
        """Be none of them any more; return whether another one on this machine goes on."""
        async with self._store.begin() as session:
            await serialize(session, "hubs")
            await self._leases.release_in(session, self._lease)
            names = await queries.alive(session, PREFIX, clock=self._clock)
        holders = [name.split(":")[1] for name in names]
        return any(same_machine(holder, self._leases.holder) for holder in holders)


def lock_database(options: HubOptions) -> HubLock | None:
    """Take the lock that keeps a second hub away from an SQLite file; Postgres needs none.

    Raises:
        SecondHub: another process has it.
        KworkspaceError: db_url is wrong, or its directory cannot be used.
    """
    database = sqlite_file(options.db_url)
    if database is None:
        return None
    lock = HubLock(Path(f"{database}.lock"))
    if not lock.acquire():
        raise SecondHub(
            f"Another hub runs on {database}: end it first, or give this one a data_dir of its own"
        )
    return lock
