"""The migrations and the models are one; a database of other code is refused."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from kworkspace.hub.db import migrate
from kworkspace.hub.db.errors import DatabaseUnusable
from kworkspace.hub.db.models import Base
from kworkspace.hub.db.store import Store


async def test_migrations_make_what_the_models_say(store: Store) -> None:
    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, Base.metadata)

    async with store._engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_revision_is_the_head() -> None:
    config = Config()
    folder = Path(migrate.__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [migrate.REVISION]
    assert {script.revision for script in scripts.walk_revisions()} == migrate.KNOWN_REVISIONS


async def test_tables_in_place_are_left_alone(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("migrated")

    monkeypatch.setattr(migrate, "upgrade", fail)
    await (await Store.open(database)).aclose()


@pytest.mark.alters_database
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "was made by a newer kworkspace-hub"),
        ("UPDATE alembic_version SET version_num = '0001'", "was made by an older kworkspace-hub"),
        ("DELETE FROM alembic_version", "is not a hub's"),
        ("DROP TABLE alembic_version", "is not a hub's"),
    ],
)
async def test_other_revisions(store: Store, statement: str, said: str) -> None:
    async with store._engine.begin() as connection:
        await connection.execute(text(statement))
    async with store._engine.connect() as connection:
        with pytest.raises(DatabaseUnusable, match=f"^The database hub {said}"):
            await connection.run_sync(migrate.make_or_check, "The database hub")
