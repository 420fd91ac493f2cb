"""The key of a tunnel: made once, whole, and for nobody else; and its certificate."""

import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.tunnel_key import NoKey, TunnelKey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where none is yet."""
    return tmp_path / "state" / "tunnels" / "one"


def test_it_is_made_once(folder: Path) -> None:
    public = TunnelKey(folder).public()
    assert public.startswith("ssh-ed25519 ")
    key = TunnelKey(folder)
    assert key.public() == public
    assert key.private.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", str(key.private)], capture_output=True, check=True
    )
    assert shown.stdout.decode().split()[:2] == public.split()[:2]


@pytest.mark.parametrize("lost", ["id_ed25519", "id_ed25519.pub"])
def test_half_of_one_is_none(folder: Path, lost: str) -> None:
    before = TunnelKey(folder).public()
    (folder / lost).unlink()
    after = TunnelKey(folder).public()
    assert after != before
    assert TunnelKey(folder).public() == after
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_many_at_once_have_one(folder: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(TunnelKey(folder).public())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_another_ones_is_not_taken_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that is made at the very moment at which this one is put there."""
    made: list[str] = []

    def meanwhile() -> None:
        monkeypatch.undo()
        made.append(TunnelKey(folder).public())

    def rmtree(path: Path, *, ignore_errors: bool) -> None:
        if path == folder:
            meanwhile()
        shutil.rmtree(path, ignore_errors=ignore_errors)

    def rename(path: Path, to: Path) -> Path:
        meanwhile()
        return path.rename(to)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    monkeypatch.setattr(Path, "rename", rename)
    assert [TunnelKey(folder).public()] == made


def test_one_that_cannot_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is left of it."""
    bad = tmp_path / "ssh-keygen"
    bad.write_text("#!/bin/sh\necho no entropy >&2\nexit 1\n")
    bad.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NoKey, match=r"makes no key in .*: no entropy"):
        TunnelKey(folder).public()
    assert list(folder.parent.iterdir()) == []


@pytest.mark.parametrize("more", ["", " a comment", "\nProxyCommand x"])
def test_a_certificate_is_one_line(folder: Path, more: str) -> None:
    key = TunnelKey(folder)
    key.keep(f"ssh-ed25519-cert-v01@openssh.com AAAA{more}")
    assert key.certificate.read_text() == "ssh-ed25519-cert-v01@openssh.com AAAA\n"


@pytest.mark.parametrize("text", ["", "one", "{}"])
def test_what_is_no_certificate(folder: Path, text: str) -> None:
    with pytest.raises(HubUnreachable, match="no certificate"):
        TunnelKey(folder).keep(text)
    assert not folder.exists()
