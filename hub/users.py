"""Whom the configuration and its files name is in the database, so that they can own something.

Only ever adds: users who are no longer named keep their workspaces and cannot come in. Who is an
admin by the configuration is not written down; the authenticator knows.
"""

from collections.abc import Collection, Iterable

from kworkspace.authenticators.base import Authenticator
from kworkspace.hub.audit import Audit
from kworkspace.hub.clock import Clock
from kworkspace.hub.db import models as db
from kworkspace.hub.db import users as queries
from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.store import Store, retried


def is_named(authenticator: Authenticator, user: str) -> bool:
    """Whether the configuration or its files name a user; else only the database knows them."""
    return (
        user in authenticator.known_users()
        or user in authenticator.admin_users
        or user in authenticator.allowed_users
    )


def named(authenticator: Authenticator) -> Collection[str]:
    """Return all users that the configuration and its files name."""
    return {
        *authenticator.known_users(),
        *authenticator.admin_users,
        *authenticator.allowed_users,
    }


@retried
async def take_over(*, store: Store, audit: Audit, clock: Clock, names: Iterable[str]) -> None:
    """Make the users that there are not yet; safe when several hubs do it at once.

    Args:
        store: the database.
        audit: the audit log.
        clock: now.
        names: as `named` returns them.
    """
    wanted = set(names)
    async with store.begin() as session:
        await serialize(session, "users")
        for name in sorted(wanted - set(await queries.names(session))):
            session.add(db.User(name=name, created=clock()))
            audit.record(session, "user.new", user=name)
