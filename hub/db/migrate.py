"""Brings the database's tables to the revision of this code, with Alembic.

Alembic is imported only when there is something to do: it costs a third of a second and 15 MB,
and a hub that finds its tables in place needs none of it.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from kworkspace.hub.db.errors import DatabaseUnusable

REVISION = "0005"
KNOWN_REVISIONS = frozenset({"0001", "0002", "0003", "0004", "0005"})


def make_or_check(connection: Connection, name: str) -> None:
    """Make the tables of an empty database, or check that they are those of this code.

    Args:
        connection: to it; what is done is in the connection's transaction.
        name: what messages call it.

    Raises:
        DatabaseUnusable: its tables are of something else, or of another revision.
    """
    current = current_revision(connection, name)
    if current is None:
        upgrade(connection, REVISION)
    elif current != REVISION:
        raise DatabaseUnusable(
            f"{name} was made by an older kworkspace-hub (revision {current}): end what uses it,"
            " and run kworkspace-hub upgrade-db, which makes a copy first"
        )


def current_revision(connection: Connection, name: str) -> str | None:
    """Return the revision of the database's tables, None for an empty database.

    Raises:
        DatabaseUnusable: its tables are of something else, or newer than this code.
    """
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    revision: str | None = None
    if "alembic_version" in tables:
        query = text("SELECT version_num FROM alembic_version")
        revision = connection.execute(query).scalar()
    if revision is None or not {"meta", "users"} <= set(tables):
        raise DatabaseUnusable(
            f"{name} is not a hub's: it has tables of something else; name another one"
        )
    if revision not in KNOWN_REVISIONS:
        raise DatabaseUnusable(
            f"{name} was made by a newer kworkspace-hub (revision {revision}): install that"
            " version, or restore a copy made before"
        )
    return revision


def upgrade(connection: Connection, revision: str) -> None:
    """Run the migrations up to a revision in the connection's transaction."""
    from alembic import command  # noqa: PLC0415  # costs 0.3 s and 15 MB, seldom needed
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
