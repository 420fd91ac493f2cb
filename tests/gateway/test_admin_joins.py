"""An admin in another person's workspace: as themselves, in the audit log, and not unseen."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def hub(make_hub: Callable[..., Any], tmp_path: Path) -> Any:
    """A hub with its gateway, and ada, an admin with a key."""
    hub = make_hub(gateway=True, extra="c.Authenticator.admin_users = {'ada'}")
    hub.start()
    key = tmp_path / "ada"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    line = key.with_suffix(".pub").read_text()
    assert hub.api("POST", "/users/ada/keys", {"key": line})[0] == 201
    return hub


def as_ada(hub: Any, key: Path, login: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run ssh with ada's key."""
    command = hub.ssh(*words)
    command[command.index("-i") + 1] = str(key)
    command[command.index("alice@127.0.0.1")] = f"{login}@127.0.0.1"
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_owner_is_told(hub: Any, tmp_path: Path) -> None:
    """A line in the owner's terminal, and nothing on anybody's stdout."""
    hub.run_ssh("true")
    command = hub.ssh("echo here; cat")
    command.insert(1, "-tt")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "here\n"
        joined = as_ada(hub, tmp_path / "ada", "ada=alice", "whoami > who; echo in")
        assert (joined.returncode, joined.stdout) == (0, "in\n")
        assert owner.stderr is not None
        told = ""
        while "joined" not in told:
            line = owner.stderr.readline()
            assert line, "it ended"
            told += line
        assert told == "\nada has joined your workspace\n"
        owner.terminate()
    own = as_ada(hub, tmp_path / "ada", "ada", "kworkspace", "status")
    assert own.stdout == "Your workspace is stopped.\n"


def test_answers_are_about_the_others_workspace(hub: Any, tmp_path: Path) -> None:
    """What an admin may do by themselves; with keys of their own; who is none is a wrong key."""
    key = tmp_path / "ada"
    hub.run_ssh("true")
    status = as_ada(hub, key, "ada=alice", "kworkspace", "status")
    assert status.stdout.startswith("Your workspace is ready")
    listed = as_ada(hub, key, "ada=alice", "kworkspace", "keys")
    assert listed.stdout.count("SHA256:") == 1
    assert as_ada(hub, key, "ada=alice", "kworkspace", "stop").returncode == 0
    assert hub.workspaces() == []
    said = set()
    for login in ("ada=nobody", "alice=ada", "nobody=alice", "bob"):
        refused = as_ada(hub, key, login, "kworkspace", "status")
        said.add((refused.returncode, refused.stderr.replace(login, "NAME")))
    assert len(said) == 1, said
