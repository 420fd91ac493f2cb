"""Files: sftp, scp in both of its protocols, rsync; with OpenSSH's server and without it."""

import os
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House, Ssh

BLOB = random.Random(2).randbytes(3 * 1024 * 1024)


def _run(*argv: str, input: bytes = b"") -> bytes:
    finished = subprocess.run(argv, input=input, capture_output=True, timeout=30, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "blob").write_bytes(BLOB)
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_text("deep")
    (tmp_path / "tree" / "program").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "program").chmod(0o755)
    return tmp_path


def _copies(ssh: "Ssh", files: Path, home: Path) -> None:
    """Up and down again, by each way there is."""
    login = f"{ssh.account}@127.0.0.1"
    port = str(ssh.port)
    for name, flags in (("legacy", ["-O"]), ("modern", ["-s"])):
        _run("scp", *flags, *ssh.options, "-P", port, "-rp", str(files / "tree"), f"{login}:{name}")
        assert (home / name / "deep" / "file").read_text() == "deep"
        assert os.access(home / name / "program", os.X_OK)
        _run("scp", *flags, *ssh.options, "-P", port, str(files / "blob"), f"{login}:{name}/")
        back = files / f"{name}-back"
        _run("scp", *flags, *ssh.options, "-P", port, f"{login}:{name}/blob", str(back))
        assert back.read_bytes() == BLOB
    batch = f"pwd\nput {files}/blob sent\nrename sent moved\nget moved {files}/got\nls -l\n"
    shown = _run("sftp", *ssh.options, "-P", port, "-b", "-", login, input=batch.encode())
    assert str(home).encode() in shown
    assert b"moved" in shown
    assert (files / "got").read_bytes() == BLOB


def test_copies(ssh: "Ssh", home: Path, files: Path) -> None:
    _copies(ssh, files, home)


def test_rsync(ssh: "Ssh", home: Path, files: Path) -> None:
    shell = subprocess.list2cmdline(["ssh", *ssh.options, "-p", str(ssh.port)])
    remote = f"{ssh.account}@127.0.0.1:synced/"
    _run("rsync", "-a", "-e", shell, f"{files}/tree", f"{files}/blob", remote)
    assert (home / "synced" / "blob").read_bytes() == BLOB
    again = _run("rsync", "-ai", "--delete", "-e", shell, f"{files}/tree", f"{files}/blob", remote)
    assert again == b""
    _run("rsync", "-a", "-e", shell, remote, f"{files}/back")
    assert (files / "back" / "tree" / "deep" / "file").read_text() == "deep"


def test_a_missing_file_is_an_error(ssh: "Ssh", tmp_path: Path) -> None:
    source = f"{ssh.account}@127.0.0.1:no-such-file"
    for flags in (["-O"], ["-s"]):
        finished = subprocess.run(
            ["scp", *flags, *ssh.options, "-P", str(ssh.port), source, str(tmp_path / "to")],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert finished.returncode == 1
        assert b"No such file" in finished.stderr


async def test_without_openssh_server(
    house: "House", files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine with nothing but the client; the workspace is told by its environment."""
    monkeypatch.setattr("kworkspace.spawners.local.launch.SERVER", ("-c", WITHOUT_SFTP_SERVER))
    _, ssh = await house.start(await house.spawner())
    _copies(ssh, files, house.root / "home")


WITHOUT_SFTP_SERVER = """
from kworkspace.spawners.local.server import sftp
sftp._PLACES = ()
from kworkspace.spawners.local.server.__main__ import main
main()
"""
