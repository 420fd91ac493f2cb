"""Secrets are whole and only their owner's; the lock lets one hub in."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kworkspace.hub.files import (
    FileUnusable,
    HubLock,
    make_directory,
    read_secret,
    write_secret,
)


def test_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert read_secret(file) is None
    old = os.umask(0)
    try:
        write_secret(file, "hidden")
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_secret(file) == "hidden"
    write_secret(file, "new")
    assert read_secret(file) == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_secret_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_secret(file, "hidden")
    file.chmod(0o640)
    with pytest.raises(FileUnusable, match=f"others may read it: chmod 600 {file}") as caught:
        read_secret(file)
    assert "hidden" not in caught.value.message


def test_secret_that_a_group_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a pod gets a Secret: root's file, which the pod's group may read, and nobody else."""
    file = tmp_path / "secret"
    write_secret(file, "hidden")
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    file.chmod(0o440)
    assert read_secret(file) == "hidden"
    for mode in (0o444, 0o460):
        file.chmod(mode)
        with pytest.raises(FileUnusable, match="others may read it"):
            read_secret(file)


def test_secret_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    with pytest.raises(FileUnusable, match="cannot be read"):
        read_secret(tmp_path / "file" / "secret")
    for file in (tmp_path / "file" / "secret", tmp_path / "missing" / "secret"):
        with pytest.raises(FileUnusable, match="cannot be written"):
            write_secret(file, "hidden")
    (tmp_path / "empty").touch(0o600)
    assert read_secret(tmp_path / "empty") is None


def test_directory(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    make_directory(directory)
    make_directory(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileUnusable, match=r"cannot be made .*: set c\.Hub\.data_dir"):
            make_directory(wrong)


def test_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    first, second = HubLock(file), HubLock(file)
    assert first.acquire()
    assert not second.acquire()
    code = "import sys; from pathlib import Path; from kworkspace.hub.files import HubLock;"
    code += "sys.exit(HubLock(Path(sys.argv[1])).acquire())"
    assert subprocess.run([sys.executable, "-c", code, file], check=False).returncode == 0
    first.release()
    first.release()
    assert second.acquire(wait=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(first.acquire, wait=True)
        second.release()
        assert waiting.result(10)
    first.release()
    with pytest.raises(FileUnusable, match=r"lock file .* cannot be made"):
        HubLock(tmp_path / "missing" / "lock").acquire()
