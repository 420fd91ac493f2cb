"""What the admin's commands do, at the machine itself: through REST while a hub runs, else on the
database. The domain's objects do the work in both cases; the one place that decides is here.

A Postgres takes one more process at any time, and its hubs follow what it changes. An SQLite file
has one process: while that is a hub, it is asked, with the token that only this machine's admin
can read.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import NotFound
from kworkspace.hub.admission import Admission, CommittedPeople
from kworkspace.hub.api.views import server_view, user_view
from kworkspace.hub.audit import Audit, Origin, origin
from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.store import Store
from kworkspace.hub.db.url import sqlite_file
from kworkspace.hub.files import make_directory
from kworkspace.hub.invites import InviteBook
from kworkspace.hub.keys import Keys
from kworkspace.hub.listening import local_url
from kworkspace.hub.people import People
from kworkspace.hub.presence import SecondHub, lock_database
from kworkspace.hub.readmodel import ReadModel, UserRow
from kworkspace.hub.tokens import Tokens
from kworkspace.hub.users import named, take_over

ACTOR = "kworkspace-hub"
PAGE = 200


class Administration(ABC):
    """What an admin's command can do; errors are those of `People`, `Keys` and `Tokens`."""

    @abstractmethod
    async def users(self) -> list[m.User]:
        """Return all users by name."""

    @abstractmethod
    async def add_users(self, request: m.NewUsers) -> list[m.User]:
        """Add users; return those who were not there."""

    @abstractmethod
    async def change_user(self, name: str, request: m.UserChange) -> m.User:
        """Rename a user, or make them an admin or no admin."""

    @abstractmethod
    async def remove_user(self, name: str) -> bool:
        """Remove a user with all that is theirs; return whether they are gone already."""

    @abstractmethod
    async def keys(self, user: str) -> list[m.Key]:
        """Return a user's keys."""

    @abstractmethod
    async def add_key(self, user: str, line: str) -> m.Key:
        """Add a key to the database."""

    @abstractmethod
    async def remove_key(self, user: str, id: str) -> None:
        """Remove a key of the database."""

    @abstractmethod
    async def invite(self, user: str, expires_in: int) -> m.NewInvite:
        """Make an invitation for a user that lasts so many seconds."""

    @abstractmethod
    async def invites(self, user: str) -> list[m.Invite]:
        """Return a user's invitations that are open."""

    @abstractmethod
    async def revoke_invite(self, user: str, id: str) -> None:
        """Withdraw an invitation."""

    @abstractmethod
    async def new_token(self, user: str, note: str) -> str:
        """Return a new token of a user, that does not expire."""


@asynccontextmanager
async def administration(options: HubOptions) -> AsyncIterator[Administration]:
    """Open whichever way there is.

    Raises:
        KworkspaceError: neither the hub nor the database can be reached.
    """
    database = sqlite_file(options.db_url)
    if options.file is None and database is not None and not database.exists():
        raise DatabaseUnusable(
            f"There is no database {database} yet, and no configuration was read: name the file"
            " with -f, as the hub is started"
        )
    make_directory(Path(options.data_dir))
    async with AsyncExitStack() as exits:
        try:
            lock = lock_database(options)
        except SecondHub:
            token = Path(options.data_dir) / "admin_token"
            client = await exits.enter_async_context(AsyncClient(local_url(options), token))
            yield _ByRest(client)
            return
        if lock is not None:
            exits.callback(lock.release)
        yield await _open_database(options, exits)


class _ByRest(Administration):
    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def users(self) -> list[m.User]:
        found: list[m.User] = []
        while page := await self._client.send(calls.users(len(found), PAGE)):
            found += page
        return found

    async def add_users(self, request: m.NewUsers) -> list[m.User]:
        return await self._client.send(calls.add_users(request))

    async def change_user(self, name: str, request: m.UserChange) -> m.User:
        return await self._client.send(calls.change_user(name, request))

    async def remove_user(self, name: str) -> bool:
        await self._client.send(calls.remove_user(name))
        try:
            await self._client.send(calls.get_user(name))
        except NotFound:
            return True
        return False

    async def keys(self, user: str) -> list[m.Key]:
        return await self._client.send(calls.keys(user))

    async def add_key(self, user: str, line: str) -> m.Key:
        return await self._client.send(calls.add_key(user, m.NewKey(key=line)))

    async def remove_key(self, user: str, id: str) -> None:
        await self._client.send(calls.remove_key(user, id))

    async def invite(self, user: str, expires_in: int) -> m.NewInvite:
        return await self._client.send(calls.invite(user, m.InviteRequest(expires_in=expires_in)))

    async def invites(self, user: str) -> list[m.Invite]:
        return await self._client.send(calls.invites(user))

    async def revoke_invite(self, user: str, id: str) -> None:
        await self._client.send(calls.revoke_invite(user, id))

    async def new_token(self, user: str, note: str) -> str:
        call = calls.new_user_token(user, m.UserTokenRequest(note=note))
        return (await self._client.send(call)).token


async def _open_database(options: HubOptions, exits: AsyncExitStack) -> "_OnDatabase":
    origin.set(Origin(actor=ACTOR))
    store = await Store.open(options.db_url)
    exits.push_async_callback(store.aclose)
    readmodel = ReadModel()
    await readmodel.load(store)
    audit = Audit(store=store, clock=utc_now)
    authenticator = options.authenticator_class(parent=options, records=CommittedPeople(readmodel))
    await authenticator.open(lambda _users: None)
    exits.push_async_callback(authenticator.aclose)
    await take_over(store=store, audit=audit, clock=utc_now, names=named(authenticator))
    people = People(
        store=store, readmodel=readmodel, audit=audit, authenticator=authenticator, clock=utc_now
    )
    keys = Keys(
        store=store, readmodel=readmodel, audit=audit, authenticator=authenticator, clock=utc_now
    )
    return _OnDatabase(
        readmodel=readmodel,
        admission=Admission(readmodel=readmodel, authenticator=authenticator),
        people=people,
        keys=keys,
        invites=InviteBook(store=store, audit=audit, authenticator=authenticator, clock=utc_now),
        tokens=Tokens(store=store, readmodel=readmodel, audit=audit, clock=utc_now),
        api_prefix=f"{options.base_url}hub/api",
    )


class _OnDatabase(Administration):
    def __init__(
        self,
        *,
        readmodel: ReadModel,
        admission: Admission,
        people: People,
        keys: Keys,
        invites: InviteBook,
        tokens: Tokens,
        api_prefix: str,
    ) -> None:
        self._readmodel = readmodel
        self._admission = admission
        self._people = people
        self._keys = keys
        self._invites = invites
        self._tokens = tokens
        self._api_prefix = api_prefix

    def _view(self, row: UserRow) -> m.User:
        admin = self._admission.is_admin(row.name)
        servers = {
            name: server_view(server, self._api_prefix)
            for name, server in self._readmodel.servers_of(row.name).items()
        }
        return user_view(row, self._readmodel, servers, admin=admin)

    async def users(self) -> list[m.User]:
        return [self._view(row) for row in self._readmodel.users()]

    async def add_users(self, request: m.NewUsers) -> list[m.User]:
        rows = await self._people.add(request.usernames, admin=request.admin)
        return [self._view(row) for row in rows]

    async def change_user(self, name: str, request: m.UserChange) -> m.User:
        return self._view(await self._people.change(name, request))

    async def remove_user(self, name: str) -> bool:
        await self._people.remove(name)  # workspaces that there are the hub deletes
        return self._readmodel.user(name) is None

    async def keys(self, user: str) -> list[m.Key]:
        return self._keys.of(user)

    async def add_key(self, user: str, line: str) -> m.Key:
        return await self._keys.add(user, line)

    async def remove_key(self, user: str, id: str) -> None:
        await self._keys.remove(user, id)

    async def invite(self, user: str, expires_in: int) -> m.NewInvite:
        return await self._invites.new(user, expires_in, ACTOR)

    async def invites(self, user: str) -> list[m.Invite]:
        return await self._invites.of(user)

    async def revoke_invite(self, user: str, id: str) -> None:
        await self._invites.revoke(user, id)

    async def new_token(self, user: str, note: str) -> str:
        return (await self._tokens.issue_for_user(user, note=note, expires_in=None)).token
