"""What is believed of a workspace's own files: the right types, and a process with its marker."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kworkspace.spawners.local.state import read_owner, read_state
from kworkspace.spawners.processes import boot_id, carries, identify

ID = "state-of-this-test"


@pytest.fixture
def good() -> Iterator[dict[str, object]]:
    """The state of a process that carries the marker."""
    environment = {"KWORKSPACE_SERVER_ID": ID, "PATH": os.environ["PATH"]}
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        found = identify(process.pid)
        assert found is not None
        # exec(2) has succeeded before the new environment can be read.
        deadline = time.monotonic() + 10
        while not carries(found, "KWORKSPACE_SERVER_ID", ID):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        yield {
            "id": ID,
            "object_uid": "1",
            "pid": found.pid,
            "started": found.started,
            "boot": boot_id(),
            "slug": "alice",
            "host": "127.0.0.1",
            "port": 2222,
            "host_key": "ssh-ed25519 AAAA",
            "account": "alice",
        }
        process.kill()


def test_a_server_that_lives(good: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps(good))
    state = read_state(file)
    assert state is not None
    assert state.port == 2222


@pytest.mark.parametrize(
    "change",
    [
        {"id": "another"},
        {"pid": "1"},
        {"pid": "../tmp/x"},
        {"pid": True},
        {"pid": -1},
        {"pid": 2**64},
        {"pid": 1.0},
        {"pid": os.getpid()},
        {"started": None},
        {"port": 0},
        {"port": 65536},
        {"port": "22"},
        {"host": "10.0.0.1"},
        {"host": ["127.0.0.1"]},
        {"account": "a\0b"},
        {"host_key": "ssh-ed25519 AAAA\nssh-ed25519 EVIL"},
        {"surplus": 1},
    ],
)
def test_what_is_not_believed(
    change: dict[str, object], good: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({**good, **change}))
    assert read_state(file) is None


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"\xff", b"[" * 60_000, b'{"pid": ' + b"9" * 5000 + b"}"]
)
def test_what_is_no_state(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.write_bytes(content)
    assert read_owner(file) is None
    assert read_state(file) is None
