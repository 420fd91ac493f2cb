"""The in-process picture of people, servers and tokens, from which every hot read is answered.

Loaded at start, then changed by nobody but `apply`, which the store calls after each commit with
what was committed, here or by another hub. A row that has a version is only ever replaced by a
newer one, whatever order the news come in. Rows are frozen: who holds one holds a consistent
moment. Never writes.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import Changes
from kworkspace.hub.db.store import Store


@dataclass(frozen=True, slots=True)
class UserRow:
    """A committed user."""

    id: int
    name: str
    admin: bool
    enrolled: bool
    removing: bool
    created: datetime
    last_activity: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A committed server."""

    id: str
    user: str
    name: str
    slug: str
    state: ServerState
    desired_running: bool
    deleting: bool
    generation: int
    error: str
    options: dict[str, Any]
    object_uid: str | None
    host: str | None
    port: int | None
    host_key: str | None
    account: str | None
    created: datetime
    started: datetime | None
    last_activity: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A committed token: exactly one of `user` and `service` is set."""

    id: str
    digest: str
    user: str | None
    service: str | None
    note: str
    key_fingerprint: str | None
    created: datetime
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A committed public key of the database; `line` has its options, if any."""

    id: str
    user: str
    fingerprint: str
    line: str
    comment: str
    created: datetime


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A committed group."""

    id: int
    name: str
    users: frozenset[str]


def digest(secret: str) -> str:
    """Return what the database keeps of a secret: its SHA-256, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ReadModel:
    """All users, servers, tokens, keys and groups, indexed as they are asked for.

    Attributes:
        on_server: each is called with the id of a server that has changed, or is gone.
        on_change: called with users whose keys have changed, or whether they may come in.
    """

    def __init__(self) -> None:
        self.on_server: list[Callable[[str], None]] = []
        self.on_change: Callable[[set[str]], None] = lambda _users: None
        self._changed: set[str] = set()
        self._users: dict[str, UserRow] = {}
        self._sorted_names: list[str] | None = None
        self._user_names: dict[int, str] = {}
        self._servers: dict[str, ServerRow] = {}
        self._servers_of: dict[str, dict[str, ServerRow]] = {}
        self._tokens: dict[str, TokenRow] = {}
        self._token_digests: dict[str, str] = {}
        self._tokens_of: dict[str, set[str]] = {}
        self._keys: dict[str, KeyRow] = {}
        self._keys_of: dict[str, dict[str, KeyRow]] = {}
        self._groups: dict[int, GroupRow] = {}
        self._groups_of: dict[str, set[int]] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def load(self, store: Store) -> None:
        """Read everything once, and follow every commit from then on."""
        store.on_commit = self.apply
        await store.load()

    def apply(self, changes: Changes) -> None:
        """Take over what a transaction has committed."""
        before = self._start_afresh() if changes.everything else []
        # First of all: another row may have taken its name.
        for table, id in changes.gone:
            self._forget(table, id)
        for item in changes.saved:
            self._put(item)
        for item in changes.deleted:
            if isinstance(item, db.Base):
                self._forget(item.__tablename__, str(getattr(item, "id", "")))
        for id in before:
            if id not in self._servers:
                self._wake(id)
        self._tell()

    def _put(self, item: object) -> None:
        match item:
            case db.User():
                self._put_user(_user_row(item))
            case db.Server():
                self._put_server(_server_row(item, self._name_of(item.user)))
            case db.APIToken():
                user = None if item.user is None else self._name_of(item.user)
                self._put_token(_token_row(item, user))
            case db.SSHKey():
                owner = self._name_of(item.user)
                self._put_key(_key_row(item, owner))
                self._changed.add(owner)
            case db.Group():
                names = frozenset(self._name_of(user) for user in item.users)
                self._put_group(GroupRow(item.id, item.name, names))

    def _start_afresh(self) -> list[str]:
        """Forget everything; return the servers that there were."""
        servers = list(self._servers)
        self._changed.update(self._users)
        self._sorted_names = None
        for index in (
            self._users,
            self._user_names,
            self._servers,
            self._servers_of,
            self._tokens,
            self._token_digests,
            self._tokens_of,
            self._keys,
            self._keys_of,
            self._groups,
            self._groups_of,
        ):
            index.clear()
        return servers

    def _name_of(self, user: db.User) -> str:
        """A transaction may carry a name that another one has changed meanwhile."""
        return self._user_names.get(user.id, user.name)

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        if changed:
            self.on_change(changed)

    def _forget(self, table: str, id: str) -> None:
        match table:
            case "users":
                self._forget_user(int(id))
            case "servers":
                self._forget_server(id)
            case "api_tokens":
                self._forget_token(self._token_digests.get(id, ""))
            case "ssh_keys":
                if (row := self._keys.pop(id, None)) is not None:
                    self._keys_of.get(row.user, {}).pop(id, None)
                    self._changed.add(row.user)
            case "groups":
                self._forget_group(int(id))

    def _put_user(self, row: UserRow) -> None:
        old_name = self._user_names.get(row.id, row.name)
        old = self._users.get(old_name)
        if old is not None and old.id == row.id and old.version > row.version:
            return
        other = self._users.get(row.name)
        if other is not None and other.id != row.id:
            # Names are unique: the other is gone, or has another name, by news that will come.
            self._forget_user(other.id)
            old = None if other is old else old
        if old is not None and _rights(old) != _rights(row):
            self._changed.add(row.name)
        self._user_names[row.id] = row.name
        if row.name not in self._users:
            self._sorted_names = None
        self._users[row.name] = row
        if old_name != row.name:
            self._rename(old_name, row.name)

    def _rename(self, old: str, new: str) -> None:
        """Call what belongs to a user by their new name."""
        del self._users[old]
        self._sorted_names = None
        for server in self._servers_of.pop(old, {}).values():
            self._put_server(replace(server, user=new))
        for key in self._keys_of.pop(old, {}).values():
            self._put_key(replace(key, user=new))
        for token in self._tokens_of.pop(old, set()):
            self._put_token(replace(self._tokens[token], user=new))
        for id in list(self._groups_of.get(old, ())):
            group = self._groups[id]
            self._put_group(replace(group, users=group.users - {old} | {new}))

    def _forget_user(self, id: int) -> None:
        """The database deletes what belongs to a user with them."""
        name = self._user_names.pop(id, None)
        if name is None:
            return
        del self._users[name]
        self._sorted_names = None
        for server in list(self._servers_of.pop(name, {}).values()):
            self._forget_server(server.id)
        for key in self._keys_of.pop(name, {}):
            del self._keys[key]
        for token in list(self._tokens_of.get(name, ())):
            self._forget_token(token)
        for group_id in list(self._groups_of.get(name, ())):
            group = self._groups[group_id]
            self._put_group(replace(group, users=group.users - {name}))

    def _put_token(self, row: TokenRow) -> None:
        old = self._tokens.get(row.digest)
        if old is not None and old.user != row.user:  # they were renamed, and not known then
            self._forget_token(row.digest)
        self._tokens[row.digest] = row
        self._token_digests[row.id] = row.digest
        if row.user is not None:
            self._tokens_of.setdefault(row.user, set()).add(row.digest)

    def _forget_token(self, digest: str) -> None:
        if (row := self._tokens.pop(digest, None)) is not None:
            del self._token_digests[row.id]
            self._tokens_of.get(row.user or "", set()).discard(digest)

    def _put_group(self, row: GroupRow) -> None:
        old = self._groups.get(row.id)
        for name in set() if old is None else old.users - row.users:
            self._groups_of[name].discard(row.id)
        for name in row.users:
            self._groups_of.setdefault(name, set()).add(row.id)
        self._groups[row.id] = row

    def _forget_group(self, id: int) -> None:
        if (row := self._groups.pop(id, None)) is not None:
            for name in row.users:
                self._groups_of[name].discard(id)

    def _put_key(self, row: KeyRow) -> None:
        old = self._keys.get(row.id)
        if old is not None and old.user != row.user:
            self._keys_of.get(old.user, {}).pop(row.id, None)
        self._keys[row.id] = row
        self._keys_of.setdefault(row.user, {})[row.id] = row

    def _put_server(self, row: ServerRow) -> None:
        old = self._servers.get(row.id)
        if old is not None and old.version > row.version:
            return
        if old is not None and old.user != row.user:
            self._leave(old)
        self._servers[row.id] = row
        self._servers_of.setdefault(row.user, {})[row.name] = row
        self._wake(row.id)

    def _forget_server(self, id: str) -> None:
        if (row := self._servers.pop(id, None)) is not None:
            self._leave(row)
            self._wake(id)

    def _leave(self, row: ServerRow) -> None:
        """Take a server out of its user's, unless another one has its name by now."""
        of_user = self._servers_of.get(row.user, {})
        if row.name in of_user and of_user[row.name].id == row.id:
            del of_user[row.name]

    def _wake(self, server_id: str) -> None:
        if (event := self._waiting.pop(server_id, None)) is not None:
            event.set()
        for tell in self.on_server:
            tell(server_id)

    async def server_when(
        self, id: str, condition: Callable[[ServerRow], bool]
    ) -> ServerRow | None:
        """Wait until a server is as wanted and return it, None if it is deleted meanwhile.

        The caller bounds the time.
        """
        while (row := self._servers.get(id)) is not None and not condition(row):
            await self._waiting.setdefault(id, asyncio.Event()).wait()
        return row

    def user(self, name: str) -> UserRow | None:
        """Return a user, or None."""
        return self._users.get(name)

    def users(self) -> Iterable[UserRow]:
        """Return all users, by name."""
        if self._sorted_names is None:
            self._sorted_names = sorted(self._users)
        return (self._users[name] for name in self._sorted_names)

    def server(self, id: str) -> ServerRow | None:
        """Return a server by its id, or None."""
        return self._servers.get(id)

    def servers(self) -> list[ServerRow]:
        """Return all servers."""
        return list(self._servers.values())

    def server_of(self, user: str, name: str) -> ServerRow | None:
        """Return a user's server, or None."""
        return self._servers_of.get(user, {}).get(name)

    def servers_of(self, user: str) -> dict[str, ServerRow]:
        """Return a user's servers by name."""
        return self._servers_of.get(user, {})

    def keys_of(self, user: str) -> list[KeyRow]:
        """Return a user's keys of the database, oldest first."""
        return sorted(self._keys_of.get(user, {}).values(), key=lambda row: (row.created, row.id))

    def tokens_of(self, user: str) -> list[TokenRow]:
        """Return a user's tokens."""
        return [self._tokens[token] for token in self._tokens_of.get(user, ())]

    def groups(self) -> list[GroupRow]:
        """Return all groups, by name."""
        return sorted(self._groups.values(), key=lambda row: row.name)

    def group(self, name: str) -> GroupRow | None:
        """Return a group, or None."""
        return next((row for row in self._groups.values() if row.name == name), None)

    def groups_of(self, user: str) -> list[str]:
        """Return the names of a user's groups, in order."""
        return sorted(self._groups[id].name for id in self._groups_of.get(user, ()))

    def token(self, secret: str, now: datetime) -> TokenRow | None:
        """Return the token that this secret is, unless it has expired.

        The look-up by digest leaks nothing about other digests that an attacker could use.
        """
        row = self._tokens.get(digest(secret))
        if row is None or (row.expires is not None and row.expires <= now):
            return None
        return row


def _rights(row: UserRow) -> tuple[bool, bool, bool]:
    return row.admin, row.enrolled, row.removing


def _user_row(item: db.User) -> UserRow:
    return UserRow(
        id=item.id,
        name=item.name,
        admin=item.admin,
        enrolled=item.enrolled,
        removing=item.removing,
        created=item.created,
        last_activity=item.last_activity,
        version=item.version,
    )


def _token_row(item: db.APIToken, user: str | None) -> TokenRow:
    return TokenRow(
        id=item.id,
        digest=item.digest,
        user=user,
        service=item.service,
        note=item.note,
        key_fingerprint=item.key_fingerprint,
        created=item.created,
        expires=item.expires,
    )


def _key_row(item: db.SSHKey, user: str) -> KeyRow:
    return KeyRow(item.id, user, item.fingerprint, item.line, item.comment, item.created)


def _server_row(item: db.Server, user: str) -> ServerRow:
    return ServerRow(
        id=item.id,
        user=user,
        name=item.name,
        slug=item.slug,
        state=item.state,
        desired_running=item.desired_running,
        deleting=item.deleting,
        generation=item.generation,
        error=item.error,
        options=item.options,
        object_uid=item.object_uid,
        host=item.host,
        port=item.port,
        host_key=item.host_key,
        account=item.account,
        created=item.created,
        started=item.started,
        last_activity=item.last_activity,
        version=item.version,
    )
