"""Which URLs name a database, and that nothing secret of one is ever shown."""

from pathlib import Path

import pytest

from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.store import Store
from kworkspace.hub.db.url import postgres_address, shown, sqlite_file


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not what is there"),
        ("hub:secret@db/hub", "not what is there"),
        ("sqlite+aiosqlite://", "only sqlite:///FILE"),
        ("sqlite+aiosqlite:///:memory:", "only sqlite:///FILE"),
        ("mysql://hub:secret@db/hub", "not 'mysql://...'"),
        ("postgresql+psycopg2://hub:secret@db/hub", "not 'postgresql+psycopg2://...'"),
        ("postgresql://hub:secret@db:one/hub", "it cannot be read"),
        ("postgresql://hub:se/cret@db/hub", "it cannot be read"),
        ("postgresql://hub:se?cret@db/hub", "it cannot be read"),
        ("postgresql://hub:se#cret@db/hub", "it cannot be read"),
        ("postgresql://hub:secret@db/hub?sslmod=require", "'sslmod' is unknown; there are host,"),
    ],
)
async def test_wrong_urls(url: str, said: str) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        await Store.open(url)
    assert caught.value.message.startswith("c.Hub.db_url: ")
    assert said in caught.value.message
    assert "cret" not in caught.value.message


def test_file_of_a_url() -> None:
    assert sqlite_file("sqlite+aiosqlite:////var/hub.sqlite") == Path("/var/hub.sqlite")
    assert sqlite_file("sqlite:///hub.sqlite") == Path("hub.sqlite")
    for scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        assert sqlite_file(f"{scheme}://hub@db/hub") is None


def test_address() -> None:
    url = "postgres://hub:s%2Fe@db1:5432,db2:5433/hub?ssl=verify-full&target_session_attrs=any"
    assert postgres_address(url) == (
        "postgresql://hub:s%2Fe@db1:5432,db2:5433/hub?target_session_attrs=any&sslmode=verify-full"
    )


def test_shown() -> None:
    assert shown("postgres://hub:secret@db:5432/hub?sslmode=require") == "hub on db:5432"
    assert shown("postgresql:///hub?host=/run/postgresql") == "hub on /run/postgresql"
    assert shown("postgresql:///hub") == "hub on this machine"
