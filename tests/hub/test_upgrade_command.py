"""`kworkspace-hub upgrade-db` as an admin types it after an update."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from kworkspace.hub.db.migrate import REVISION
from kworkspace.hub.files import HubLock
from tests.hub.db.test_upgrade import fill


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a hub whose database is of the first revision."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    engine = create_engine(f"sqlite:///{data / 'hub.sqlite'}")
    with engine.begin() as connection:
        fill(connection, "0001")
    engine.dispose()
    file = tmp_path / "hub_config.py"
    file.write_text(f"c.Hub.data_dir = {str(data)!r}\nc.Hub.bind_url = 'http://127.0.0.1:1'\n")
    return file


def hub(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "kworkspace.hub", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_an_update(config: Path) -> None:
    database = config.parent / "data" / "hub.sqlite"
    code, _, said = hub("-f", str(config))
    assert code == 1
    assert "run kworkspace-hub upgrade-db, which makes a copy first" in said
    code, said, _ = hub("upgrade-db", "-f", str(config))
    assert code == 0
    copy, upgraded = said.splitlines()
    assert copy.startswith(f"Made the copy {database}.0001.")
    assert upgraded == f"The database {database} is upgraded from revision 0001 to {REVISION}"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("alice",)]
    _, said, _ = hub("upgrade-db", "-f", str(config))
    assert said.endswith(f"is of this version already (revision {REVISION})\n")


def test_without_a_copy(config: Path) -> None:
    assert hub("upgrade-db", "--no-copy", "-f", str(config))[0] == 0
    assert list((config.parent / "data").glob("hub.sqlite.0001*")) == []


def test_a_hub_runs(config: Path) -> None:
    lock = HubLock(config.parent / "data" / "hub.sqlite.lock")
    assert lock.acquire()
    code, said, error = hub("upgrade-db", "-f", str(config))
    lock.release()
    assert (code, said) == (1, "")
    assert error.startswith("kworkspace-hub: Another hub runs on ")
    assert error.count("\n") == 1
