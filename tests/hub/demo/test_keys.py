"""Which keys of a person the demo takes, and when it makes one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kworkspace.hub.demo.keys import find_keys


@pytest.fixture
def ssh_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home's .ssh, and no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    (tmp_path / "demo").mkdir()
    return folder


@pytest.fixture
def agent(ssh_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent without keys, until the test adds one."""
    sock = str(ssh_dir / "agent")
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    process.stdout.readline()
    monkeypatch.setenv("SSH_AUTH_SOCK", sock)
    yield
    process.terminate()
    process.communicate(timeout=10)


def make(file: Path, *options: str) -> Path:
    """Make a key."""
    command = ["ssh-keygen", "-q", "-N", "", "-f", str(file), *(options or ("-t", "ed25519"))]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return file


def test_keys_of_the_person(ssh_dir: Path, tmp_path: Path) -> None:
    files = [make(ssh_dir / "id_ed25519"), make(ssh_dir / "work", "-t", "rsa", "-b", "2048")]
    keys = find_keys(tmp_path / "demo", tmp_path / "home", "alice")
    assert keys.identities == tuple(files)
    assert keys.lines == tuple(file.with_suffix(".pub").read_text().strip() for file in files)
    assert (keys.named, keys.fresh) == (None, False)
    assert list((tmp_path / "demo").iterdir()) == []


def test_key_that_ssh_does_not_find_by_itself_is_named(ssh_dir: Path, tmp_path: Path) -> None:
    work = make(ssh_dir / "work")
    assert find_keys(tmp_path / "demo", tmp_path / "home", "alice").named == work


def test_what_is_no_good_is_passed_over(ssh_dir: Path, tmp_path: Path) -> None:
    authority = make(ssh_dir / "authority")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "x", "-n", "alice"]
    subprocess.run([*sign, f"{authority}.pub"], check=True)
    authority.unlink()
    (ssh_dir / "authority.pub").unlink()
    make(ssh_dir / "short", "-t", "rsa", "-b", "1024")
    (ssh_dir / "notes.pub").write_bytes(b"\xff\n")
    make(ssh_dir / "nobodys").unlink()
    keys = find_keys(tmp_path / "demo", tmp_path / "home", "alice")
    own = tmp_path / "demo" / "id_ed25519"
    assert (keys.named, keys.identities, keys.fresh) == (own, (own,), True)
    assert keys.lines[0].endswith(" alice@demo")
    assert own.stat().st_mode & 0o777 == 0o600


def test_own_key_stays_the_one(ssh_dir: Path, tmp_path: Path) -> None:
    first = find_keys(tmp_path / "demo", tmp_path / "home", "alice")
    make(ssh_dir / "id_ed25519")
    assert find_keys(tmp_path / "demo", tmp_path / "home", "alice") == first


@pytest.mark.usefixtures("agent")
def test_key_in_the_agent_alone(ssh_dir: Path, tmp_path: Path) -> None:
    held = make(ssh_dir / "held")
    subprocess.run(["ssh-add", "-q", str(held)], check=True)
    held.unlink()
    keys = find_keys(tmp_path / "demo", tmp_path / "home", "alice")
    assert keys.identities == (ssh_dir / "held.pub",)
    assert (keys.named, keys.fresh) == (None, False)


@pytest.mark.usefixtures("agent")
def test_empty_agent(ssh_dir: Path, tmp_path: Path) -> None:
    assert find_keys(tmp_path / "demo", tmp_path / "home", "alice").fresh
