"""That the look for secrets, which ends every run of the suite, would find one."""

import logging
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kworkspace.hub.tokens import new_secret
from tests.leaks import Found, in_files, leaked, logs


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is gone when the suite's own are looked through."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_token_in_a_log_file(folder: Path) -> None:
    token = new_secret()
    (folder / "hub.log").write_text(f"one line\nGET /hub/api/user?token={token} 200\n")
    [said] = leaked(logs(folder), set())
    assert said == f"{folder}/hub.log: GET /hub/api/user?token=<secret> 200"


@pytest.mark.parametrize("name", ["cookie_secret", "ca_key"])
def test_what_a_private_file_holds(folder: Path, name: str) -> None:
    file = folder / "data" / name
    file.parent.mkdir()
    if name == "ca_key":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    else:
        file.write_text(secrets.token_hex(32))
        file.chmod(0o600)
    line = next(line for line in file.read_text().splitlines() if "-----" not in line)
    (folder / "gateway.log.1").write_text(f"config: {line}\n")
    made = in_files(folder)
    assert leaked(logs(folder), made) == [f"{folder}/gateway.log.1: config: <secret>"]


def test_what_this_process_logs(overheard: Found) -> None:
    secret = secrets.token_hex(32)
    mine = Found()
    mine.handle(logging.LogRecord("some", logging.INFO, "", 1, f"it is {secret}", None, None))
    assert leaked([("here", line) for line in mine.lines], overheard.made) == [
        "here: some it is <secret>"
    ]


def test_public_things_are_none(folder: Path) -> None:
    key = folder / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (folder / "hub.log").write_text(f"offered {key.with_suffix('.pub').read_text()}\n")
    assert leaked(logs(folder), in_files(folder)) == []
