"""Small regular files, and everything else that may lie there."""

import os
from pathlib import Path

import pytest

from kworkspace.spawners.local.files import (
    MAX_BYTES,
    discard,
    open_regular,
    read_small,
    read_tail,
    write_atomically,
)


@pytest.fixture(params=["fifo", "directory", "link", "dangling", "nothing"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "it"
    target = tmp_path / "target"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "directory":
        path.mkdir()
        (path / "child").touch()
    elif request.param == "link":
        target.write_text("kept")
        path.symlink_to(target)
    elif request.param == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    return path


def test_no_file_is_read(no_file: Path) -> None:
    assert read_small(no_file) is None
    assert read_tail(no_file, 9) == b""
    with pytest.raises(FileNotFoundError):
        open_regular(no_file, os.O_RDWR)


def test_no_file_is_replaced(no_file: Path) -> None:
    write_atomically(no_file, "new")
    assert read_small(no_file) == b"new"
    assert no_file.stat().st_mode & 0o777 == 0o600
    target = no_file.with_name("target")
    assert not target.exists() or target.read_text() == "kept"


def test_no_file_is_removed(no_file: Path) -> None:
    discard(no_file)
    assert not os.path.lexists(no_file)
    target = no_file.with_name("target")
    assert not target.exists() or target.read_text() == "kept"


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes(b"x" * MAX_BYTES)
    assert read_small(path) == b"x" * MAX_BYTES
    path.write_bytes(b"x" * MAX_BYTES + b"end")
    assert read_small(path) is None
    assert read_tail(path, 4) == b"xend"


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / "it", "\u20ac")
    assert read_small(tmp_path / "it") == b"\xe2\x82\xac"
