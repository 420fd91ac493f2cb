"""Which database a URL names, checked before anything is tried; passwords never in a message."""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from kworkspace.hub.db.errors import DatabaseUnusable

# As libpq's; what else stands in a URL would silently become a setting of the server.
OPTIONS = (
    "host",
    "port",
    "passfile",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "target_session_attrs",
)
_SQLITE = ("sqlite", "sqlite+aiosqlite")
_POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL, None for a Postgres one.

    Raises:
        DatabaseUnusable: it is neither.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in _POSTGRES:
        return None
    if scheme in _SQLITE and rest.startswith("/") and rest not in {"/", "/:memory:"}:
        return Path(rest[1:])
    what = f"'{scheme}://...'" if separator else "what is there"
    raise DatabaseUnusable(
        "c.Hub.db_url: only sqlite:///FILE and postgresql://USER@HOST/DATABASE are supported,"
        f" not {what}"
    )


def postgres_address(url: str) -> str:
    """Return the address that asyncpg takes, as libpq would read it.

    Raises:
        DatabaseUnusable: it cannot be read, or has an option that nobody knows.
    """
    parts = _split(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "ssl" in query:  # SQLAlchemy's word for it
        query.setdefault("sslmode", query.pop("ssl"))
    for option in query:
        if option not in OPTIONS:
            raise DatabaseUnusable(
                f"c.Hub.db_url: the option '{option}' is unknown; there are {', '.join(OPTIONS)}"
            )
    return parts._replace(scheme="postgresql", query=urlencode(query)).geturl()


def shown(url: str) -> str:
    """Return a Postgres URL as a message may show it."""
    parts = _split(url)
    place = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host", "")
    return f"{parts.path.lstrip('/')} on {place or 'this machine'}"


def _split(url: str) -> SplitResult:
    unreadable = DatabaseUnusable(
        "c.Hub.db_url: it cannot be read: write what is special in user and password as %XX"
    )
    try:
        parts = urlsplit(url)
        several = "," in parts.netloc.rpartition("@")[2]
        _ = None if several else parts.port  # reading it checks it; of several, each has one
    except ValueError:
        raise unreadable from None
    if parts.fragment or ("@" in url and "@" not in parts.netloc):
        raise unreadable
    return parts
