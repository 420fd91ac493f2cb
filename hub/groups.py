"""Groups: named sets of users, as JupyterHub has them, for hooks and spawners.

`c.Hub.load_groups` is made at the start; an admin changes the rest through REST.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping

from kworkspace.cli.client.errors import BadRequest, Conflict, InvalidName, NotFound
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.audit import Audit
from kworkspace.hub.db import groups as queries
from kworkspace.hub.db import models as db
from kworkspace.hub.db import users as user_queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.readmodel import GroupRow, ReadModel

MAX_NAME_BYTES = 255


def parse_group_name(text: str, field: str = "group") -> str:
    """Return a group's name: 1 to 255 bytes of printable NFC text without '/'.

    Raises:
        InvalidName: it is none.
    """
    name = unicodedata.normalize("NFC", text)
    if not name or not name.isprintable() or "/" in name or name != name.strip():
        raise InvalidName(f"{field}: a group's name is printable text without '/'")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise InvalidName(f"{field}: a group's name has at most {MAX_NAME_BYTES} bytes")
    return name


class Groups:
    """Makes, changes and deletes groups.

    Args:
        store: the database.
        readmodel: what is committed.
        audit: the audit log.
    """

    def __init__(self, *, store: Store, readmodel: ReadModel, audit: Audit) -> None:
        self._store = store
        self._readmodel = readmodel
        self._audit = audit

    def get(self, name: str) -> GroupRow:
        """Return a group.

        Raises:
            NotFound: there is none of this name.
        """
        row = self._readmodel.group(name)
        if row is None:
            raise NotFound(f"Group {name} does not exist")
        return row

    async def create(self, name: str, users: Iterable[str] = ()) -> GroupRow:
        """Make a group.

        Raises:
            Conflict: there is one of this name.
            BadRequest: a user does not exist.
        """
        await self._create(name, {parse_user_name(user, "users") for user in users})
        return self.get(name)

    @retried
    async def _create(self, name: str, users: Collection[str]) -> None:
        async with self._store.begin() as session:
            await serialize(session, "groups")
            if await queries.get(session, name) is not None:
                raise Conflict(f"Group {name} exists already")
            people = await user_queries.of_names(session, users)
            _check_all(users, people)
            session.add(db.Group(name=name, users=list(people)))
            self._audit.record(session, "group.new", message=_line(name, users))

    @retried
    async def delete(self, name: str) -> None:
        """Delete a group.

        Raises:
            NotFound: there is none of this name.
        """
        async with self._store.begin() as session:
            await serialize(session, "groups")
            group = await queries.get(session, name)
            if group is None:
                raise NotFound(f"Group {name} does not exist")
            await session.delete(group)
            self._audit.record(session, "group.deleted", message=name)

    async def add_users(self, name: str, users: Iterable[str]) -> GroupRow:
        """Put users into a group; who is in it already stays.

        Raises:
            NotFound: there is no such group.
            BadRequest: a user does not exist.
        """
        await self._change(name, {parse_user_name(user, "users") for user in users}, add=True)
        return self.get(name)

    async def remove_users(self, name: str, users: Iterable[str]) -> GroupRow:
        """Take users out of a group; who is not in it does not matter.

        Raises:
            NotFound: there is no such group.
            BadRequest: a user does not exist.
        """
        await self._change(name, {parse_user_name(user, "users") for user in users}, add=False)
        return self.get(name)

    @retried
    async def _change(self, name: str, users: Collection[str], *, add: bool) -> None:
        async with self._store.begin() as session:
            await serialize(session, "groups")
            group = await queries.get(session, name)
            if group is None:
                raise NotFound(f"Group {name} does not exist")
            people = await user_queries.of_names(session, users)
            _check_all(users, people)
            inside = {person.id for person in group.users}
            changed = [person for person in people if (person.id in inside) is not add]
            for person in changed:
                if add:
                    group.users.append(person)
                else:
                    group.users.remove(person)
            if changed:
                action = "group.users-added" if add else "group.users-removed"
                self._audit.record(
                    session, action, message=_line(name, [person.name for person in changed])
                )

    @retried
    async def load(self, wanted: Mapping[str, Collection[str]]) -> None:
        """Make the configured groups, and put users into them; nobody is taken out.

        Safe when several hubs do it at once. The users must be in the database.
        """
        async with self._store.begin() as session:
            await serialize(session, "groups")
            for name, users in wanted.items():
                group = await queries.get(session, name)
                if group is None:
                    group = db.Group(name=name, users=[])
                    session.add(group)
                    self._audit.record(session, "group.new", message=name)
                inside = {person.name for person in group.users}
                missing = set(users) - inside
                group.users.extend(await user_queries.of_names(session, missing))


def _check_all(names: Collection[str], people: Collection[db.User]) -> None:
    if missing := sorted(set(names) - {person.name for person in people}):
        raise BadRequest(f"users: user {missing[0]} does not exist")


def _line(group: str, users: Collection[str]) -> str:
    return f"{group}: {', '.join(sorted(users))}"[:1000] if users else group
