"""Changing a person's own file: whole, with its mode, through a link."""

import os
import stat
from pathlib import Path

import pytest

from kworkspace.cli import edits
from kworkspace.cli.edits import NotAFile


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_and_so_is_its_folder(home: Path) -> None:
    file = home / "new" / "config"
    edits.replace(file, b"x")
    assert (file.read_bytes(), mode(file), mode(file.parent)) == (b"x", 0o600, 0o700)


def test_the_mode_stays(home: Path) -> None:
    file = home / "config"
    file.write_bytes(b"old")
    file.chmod(0o640)
    edits.replace(file, b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", 0o640)
    assert [path.name for path in home.glob(".config-*")] == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_stays(home: Path) -> None:
    file = home / "config"
    file.write_bytes(b"old")
    os.chown(file, 1234, 1235)
    edits.replace(file, b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(home: Path, there: bool) -> None:
    target, link = home / "dotfiles" / "config", home / "config"
    target.parent.mkdir()
    if there:
        target.write_bytes(b"old")
    link.symlink_to("dotfiles/config")
    assert edits.read(link) == (b"old" if there else b"")
    edits.replace(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_what_is_no_file_is_not_read(home: Path) -> None:
    assert edits.read(home / "nothing") == b""
    os.mkfifo(home / "pipe")
    for path in (home / "pipe", Path("/dev/zero")):
        with pytest.raises(NotAFile, match="is not a file"):
            edits.read(path)
    (home / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        edits.read(home / "loop")


def test_a_failed_write_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / "config"
    file.write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        edits.replace(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in home.glob(".config-*")] == []
