"""A log that cannot fill a disk, nor do anything to a terminal."""

import os
from pathlib import Path

import pytest

from kworkspace.spawners.local import bounded_log
from kworkspace.spawners.local.bounded_log import BoundedLog


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_log, "MAX_BYTES", 1000)
    (tmp_path / "server.log.1").mkdir()
    log = BoundedLog(tmp_path / "server.log")
    for number in range(100):
        log.write(b"%098d\n" % number)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"server.log", "server.log.1"}
    assert all(size <= 1100 for size in sizes.values())
    assert (tmp_path / "server.log").read_text().endswith("99\n")


def test_it_shows_no_escapes(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "server.log")
    log.write("\x1b]0;x\x07 ä\ttab\x9b\r\n".encode("latin-1"))
    assert (tmp_path / "server.log").read_bytes() == "?]0;x? ä\ttab??\n".encode("latin-1")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_ends_nobody(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "server.log")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._fd)
    os.close(full)
    log.write(b"lost")
