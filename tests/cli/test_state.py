"""Files of the state folder: private, and whole or not there."""

import os
import stat
from pathlib import Path

import pytest

from kworkspace.cli.settings import Flags, load
from kworkspace.cli.state import write_private


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(home: Path) -> Path:
    """A file to write."""
    return home / "state" / "kworkspace" / "tokens" / "x"


def test_private_whatever_the_umask_is(path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(path, b"one")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"one"
    assert [mode(path), mode(path.parent), mode(path.parents[1])] == [0o600, 0o700, 0o700]


def test_an_open_folder_is_closed_and_the_persons_own_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o755)
    path.parents[1].chmod(0o755)
    write_private(path, b"one")
    assert [mode(path.parent), mode(path.parents[1])] == [0o700, 0o755]


def test_a_write_that_fails_leaves_what_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(path, b"one")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]


def test_the_folder_follows_xdg_and_the_setting(home: Path) -> None:
    flags = Flags(api="http://hub")
    assert load(flags, {}).state_dir == home / ".local" / "state" / "kworkspace"
    assert load(flags, {"XDG_STATE_HOME": "/x"}).state_dir == Path("/x/kworkspace")
    (home / "c.toml").write_text('state_dir = "mine"')
    flags.config = "c.toml"
    assert load(flags, {"XDG_STATE_HOME": "/x"}).state_dir == home / "mine"
