"""What is written for a workspace, and the lock."""

from pathlib import Path

import pytest

from kworkspace.spawners.local.launch import (
    held_lock,
    is_key_line,
    is_locked,
    make_directories,
    write_authorized_keys,
)
from kworkspace.spawners.local.state import Paths

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIILNY1AzQQYJv5b5ZZlgxo"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "workspaces" / "alice")
    make_directories(made)
    return made


@pytest.mark.parametrize(
    "line", [KEY, f"{KEY} alice@laptop", f"{KEY}== a comment, with words", f"{KEY} \u00fc"]
)
def test_key_lines(line: str) -> None:
    assert is_key_line(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        f'command="evil" {KEY}',
        f"cert-authority {KEY}",
        f"{KEY}\n{KEY}",
        f"{KEY} comment\r{KEY}",
        f"# {KEY}",
        f" {KEY}",
        *(f"{KEY} a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA0))),
        f"{KEY} a\u2028{KEY}",
        f"{KEY} a\u2029{KEY}",
        f"{KEY} a\udc80",
    ],
)
def test_lines_that_are_more_than_a_key(line: str) -> None:
    assert not is_key_line(line)


def test_authorized_keys(paths: Paths) -> None:
    write_authorized_keys(paths, "the-id", [f"{KEY} a", f'command="evil" {KEY}'], [f"{KEY} ca"])
    assert paths.authorized_keys.read_text() == (
        f'{KEY} a\ncert-authority,principals="the-id" {KEY} ca\n'
    )
    assert paths.authorized_keys.stat().st_mode & 0o777 == 0o600


def test_the_lock_has_one_holder(paths: Paths) -> None:
    assert not is_locked(paths)
    with held_lock(paths) as fd:
        assert fd is not None
        assert is_locked(paths)
        with held_lock(paths) as second:
            assert second is None
    assert not is_locked(paths)


def test_a_workspace_that_never_was_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(Paths(tmp_path / "nobody"))


def test_a_home_that_is_there_is_left_alone(paths: Paths) -> None:
    (paths.home / "mine").write_text("mine")
    (paths.home / ".bashrc").write_text("mine, too")
    paths.home.chmod(0o755)
    make_directories(paths)
    assert (paths.home / ".bashrc").read_text() == "mine, too"
    assert paths.home.stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in paths.root.iterdir()) == ["home", "run"]
