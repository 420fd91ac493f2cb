"""What can go wrong with the database, as the rest of the hub sees it; nothing else leaves here.

`IntegrityError` is the one exception: a violated constraint is for the domain to understand.
"""

from kworkspace.cli.client.errors import KworkspaceError, Unavailable


class DatabaseUnusable(KworkspaceError):
    """The database cannot be opened; the hub ends with the message."""

    code = "database"


class Again(Unavailable):
    """The database has undone a transaction that met another one: doing it again may succeed."""


class Lost(Exception):
    """The connection is gone or was refused; whoever holds the transaction knows what that means.

    Args:
        reason: a few words for the log, without secrets.
    """
