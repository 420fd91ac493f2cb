"""People: who there is, by whose word, and what admins change about them.

Users come from the configuration and its files (`users.take_over`) or are added to the database
here; only the latter can be renamed and removed here, the former would come back. Removing takes
its time: tokens and keys go at once, the user's row with the last of their workspaces.
"""

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import BadRequest, Conflict, NotFound
from kworkspace.cli.client.models import UserChange
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import invites as invite_queries
from kworkspace.hub.db import keys as key_queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db import servers as server_queries
from kworkspace.hub.db import sessions as session_queries
from kworkspace.hub.db import tokens as token_queries
from kworkspace.hub.db import users as queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.lookalikes import find_lookalikes
from kworkspace.hub.readmodel import ReadModel, UserRow
from kworkspace.hub.servers import want_deleted
from kworkspace.hub.users import is_named

MOST_AT_ONCE = 1000


class People:
    """Adds, changes and removes users.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
        authenticator: whom the configuration names.
        clock: now.
    """

    def __init__(
        self,
        *,
        store: Store,
        readmodel: ReadModel,
        audit: Audit,
        authenticator: Authenticator,
        clock: Clock,
    ) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit
        self._authenticator = authenticator
        self._clock = clock

    def get(self, name: str) -> UserRow:
        """Return a user.

        Raises:
            NotFound: there is none of this name.
        """
        row = self._readmodel.user(name)
        if row is None:
            raise NotFound(f"User {name} does not exist")
        return row

    async def add(self, names: Sequence[str], *, admin: bool = False) -> list[UserRow]:
        """Add users to the database, all or none; those who are there already stay as they are.

        Args:
            names: as a person wrote them.
            admin: whether they are admins.

        Returns:
            Those who were added.

        Raises:
            BadRequest: a name is not allowed, or looks like another's.
            Conflict: all are there already, or one is being removed.
        """
        if not 0 < len(names) <= MOST_AT_ONCE:
            raise BadRequest(f"usernames: expected 1 to {MOST_AT_ONCE} names")
        wanted = list(dict.fromkeys(parse_user_name(name, "usernames") for name in names))
        added = await self._add(wanted, admin=admin)
        if not added:
            raise Conflict(
                f"User {wanted[0]} exists already"
                if len(wanted) == 1
                else f"All {len(wanted)} users exist already"
            )
        return [self.get(name) for name in added]

    @retried
    async def _add(self, wanted: Sequence[str], *, admin: bool) -> list[str]:
        async with self._store.begin() as session:
            await serialize(session, "users")
            known = set(await queries.names(session))
            new = [name for name in wanted if name not in known]
            await _check_looks(new, known)
            for name in new:
                session.add(db.User(name=name, admin=admin, enrolled=True, created=self._clock()))
                self._audit.record(
                    session, "user.new", user=name, message="as an admin" if admin else ""
                )
            known_before = [name for name in wanted if name in known]
            return new + [
                name for name in known_before if await self._enroll(session, name, admin=admin)
            ]

    async def _enroll(self, session: AsyncSession, name: str, *, admin: bool) -> bool:
        """Take in a user whom the configuration has named once and who kept their workspaces."""
        person = await queries.get(session, name)
        if person is None or person.enrolled or is_named(self._authenticator, name):
            return False
        if person.removing:
            raise Conflict(f"User {name} is being removed: try again when they are gone")
        person.enrolled, person.admin = True, admin
        self._audit.record(session, "user.enrolled", user=name)
        return True

    async def welcome(self, name: str) -> None:
        """Make the row of somebody who has just proven who they are, if they have none yet.

        That is how people come here for whom an authority vouches and whom nobody has listed.

        Raises:
            BadRequest: the name looks like another's.
        """
        if self._readmodel.user(name) is None:
            await self._welcome(name)

    @retried
    async def _welcome(self, name: str) -> None:
        async with self._store.begin() as session:
            await serialize(session, "users")
            known = set(await queries.names(session))
            if name not in known:
                await _check_looks([name], known)
                session.add(db.User(name=name, created=self._clock()))
                self._audit.record(session, "user.new", user=name, message="came in")

    async def change(self, name: str, change: UserChange, *, by: str | None = None) -> UserRow:
        """Rename a user, or make them an admin, or no admin any more.

        Slug, home, tokens and keys of the database stay.

        Args:
            name: who.
            change: what.
            by: the user who asks for it, None for the machine's admin.

        Raises:
            NotFound: there is no such user.
            BadRequest: a name that is not allowed or looks like another's; one's own admin role.
            Conflict: the name is taken, the configuration decides it, or somebody else has
                changed the user at the same time.
        """
        seen = self.get(name)
        new = name if change.name is None else parse_user_name(change.name)
        if new != name:
            self._check_not_named(name, "rename")
        if change.admin is False:
            self._check_admin_goes(name, by)
        await self._change(seen, new, seen.admin if change.admin is None else change.admin)
        return self.get(new)

    def _check_not_named(self, name: str, verb: str) -> None:
        if is_named(self._authenticator, name):
            raise Conflict(
                f"User {name} is named by the configuration or its files and would come back:"
                f" {verb} them there"
            )

    def _check_admin_goes(self, name: str, by: str | None) -> None:
        if name == by:
            raise BadRequest("You cannot take the admin role from yourself: ask another admin")
        if name in self._authenticator.admin_users:
            raise Conflict(
                f"User {name} is an admin by the configuration:"
                " take them out of c.Authenticator.admin_users"
            )

    @retried
    async def _change(self, seen: UserRow, name: str, admin: bool) -> None:
        async with self._store.begin() as session:
            if name != seen.name:
                await serialize(session, "users")
            person = await queries.get_by_id(session, seen.id)
            if person is None:
                raise NotFound(f"User {seen.name} does not exist")
            if person.removing:
                raise Conflict(f"User {seen.name} is being removed")
            if (person.name, person.admin) != (seen.name, seen.admin):
                raise Conflict(
                    f"Somebody else has changed user {seen.name} just now: look at them again"
                )
            if admin != person.admin:
                person.admin = admin
                action = "user.admin" if admin else "user.no-admin"
                self._audit.record(session, action, user=seen.name)
            if name != person.name:
                await self._rename(session, person, name)

    async def _rename(self, session: AsyncSession, person: db.User, name: str) -> None:
        others = set(await queries.names(session)) - {person.name}
        if name in others:
            raise Conflict(f"User {name} exists already")
        await _check_looks([name], others)
        self._audit.record(session, "user.renamed", user=person.name, message=f"now {name}")
        for row in await session_queries.open_all(session):
            if row.actor == person.name:  # whose keys decide how long it may last
                row.actor = name
        person.name = name

    async def remove(self, name: str, *, by: str | None = None) -> list[str]:
        """Remove a user with their keys, tokens, sessions and workspaces, files and all.

        Args:
            name: who.
            by: the user who asks for it, None for the machine's admin.

        Returns:
            Their servers, for `Servers.see_to`.

        Raises:
            NotFound: there is no such user.
            BadRequest: it is oneself.
            Conflict: the configuration names them.
        """
        seen = self.get(name)
        if name == by:
            raise BadRequest("You cannot remove yourself: ask another admin")
        self._check_not_named(name, "remove")
        return await self._remove(seen)

    @retried
    async def _remove(self, seen: UserRow) -> list[str]:
        async with self._store.begin() as session:
            await serialize(session, server_queries.SERVERS)  # so that none is made meanwhile
            await serialize(session, token_queries.REVOCATION)
            person = await queries.get_by_id(session, seen.id)
            if person is None:
                raise NotFound(f"User {seen.name} does not exist")
            if not person.removing:
                person.removing, person.enrolled, person.admin = True, False, False
                self._audit.record(session, "user.remove", user=person.name)
            for item in (
                *await key_queries.of_user(session, person),
                *await token_queries.of_user(session, person),
                *await invite_queries.of_user(session, person),
            ):
                await session.delete(item)
            servers = await server_queries.of_user(session, person)
            for server in servers:
                want_deleted(session, self._audit, server)
            if await queries.delete_if_empty(session, person):
                self._audit.record(session, "user.removed", user=person.name)
            return [server.id for server in servers]


async def _check_looks(new: Sequence[str], known: set[str]) -> None:
    """Refuse names that a person could take for another's.

    Raises:
        BadRequest: one looks like another.
    """
    if not new:
        return
    for name, other in await asyncio.to_thread(lambda: list(find_lookalikes(new, known))):
        raise BadRequest(f"name: '{name}' looks like '{other}', whom people would take it for")
