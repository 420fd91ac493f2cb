"""An authority's file: what is trusted and what signs, at each moment of a rotation."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.files import FileUnusable
from kworkspace.hub.key_ring import SETTLE, KeyRing, read_ring, write_ring

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


def names(ring: KeyRing, moment: datetime) -> tuple[str, str]:
    """Return the comments of the trusted keys, and that of the one that signs."""
    trusted = " ".join(one.key.get_comment() or "" for one in ring.trusted(moment))
    return trusted, ring.signing(moment).key.get_comment() or ""


def test_one_rotation() -> None:
    """First trusted, then signing, then alone; the file may be read again at any moment."""
    first = KeyRing.new("a", NOW)
    assert names(first, NOW - DAY) == ("a", "a")
    ring = KeyRing.parse(first.rotated("b", NOW, DAY).text())
    for moment, expected in (
        (NOW, ("a b", "a")),
        (NOW + SETTLE - TICK, ("a b", "a")),
        (NOW + SETTLE, ("a b", "b")),
        (NOW + DAY - TICK, ("a b", "b")),
        (NOW + DAY, ("b", "b")),
        (NOW + 1000 * DAY, ("b", "b")),
    ):
        assert names(ring, moment) == expected, moment
    assert ring.origin == first.origin


def test_rotations_that_overlap() -> None:
    ring = KeyRing.new("a", NOW).rotated("b", NOW, 3 * DAY)
    ring = ring.rotated("c", NOW + timedelta(minutes=1), DAY)
    assert names(ring, NOW + SETTLE) == ("a b c", "b")
    assert names(ring, NOW + 2 * SETTLE) == ("a b c", "c")
    assert names(ring, NOW + 2 * DAY) == ("c", "c")


def test_a_stolen_key_counts_no_more() -> None:
    ring = KeyRing.new("a", NOW).rotated("b", NOW, timedelta(0))
    assert names(ring, NOW) == ("b", "b")
    assert names(ring.rotated("c", NOW, DAY), NOW) == ("b c", "b")


def test_what_nobody_trusts_is_kept_no_longer_than_until_the_next() -> None:
    """Yet the authority is the same one, by its origin."""
    first = KeyRing.new("a", NOW)
    ring = first.rotated("b", NOW, DAY).rotated("c", NOW + 2 * DAY, DAY)
    again = KeyRing.parse(ring.text())
    assert [one.key.get_comment() for one in again.keys] == ["b", "c"]
    assert again.origin == ring.origin == first.keys[0].fingerprint
    assert again.keys == ring.keys


@pytest.mark.parametrize("format", ["openssh", "pkcs8-pem"])
def test_a_file_that_somebody_else_has_made(tmp_path: Path, format: str) -> None:
    """As by ssh-keygen, or by Helm."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment="mine")
    ring = KeyRing.parse(key.export_private_key(format).decode())
    assert ring.keys[0].since is None
    assert ring.signing(NOW).fingerprint == ring.origin == key.get_fingerprint()
    assert KeyRing.parse(ring.rotated("b", NOW, DAY).text()).trusted(NOW)[0].key == key


def test_openssh_reads_the_oldest_key(tmp_path: Path) -> None:
    ring = KeyRing.new("a", NOW).rotated("b", NOW, DAY)
    file = tmp_path / "user_ca"
    write_ring(file, ring, tmp_path / "other")
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(file)], capture_output=True, text=True, check=False
    )
    assert shown.stdout.split()[:2] == ring.keys[0].line.split()[:2], shown.stderr


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
        "{good}\nnonsense",
        "nonsense\n{good}",
        "{good}# kworkspace signs=soon",
        "{good}# kworkspace until=2030-01-02T03:04:05+00:00\n",
        "# kworkspace\n{good}",
    ],
)
def test_what_is_none(tmp_path: Path, text: str) -> None:
    good = KeyRing.new("a", NOW).text()
    file = tmp_path / "user_ca"
    file.touch(mode=0o600)
    file.write_text(text.format(good=good))
    with pytest.raises(KworkspaceError, match="user_ca is not a usable private key") as refused:
        read_ring(file)
    assert "PRIVATE" not in str(refused.value)
    assert "AAAA" not in str(refused.value)


def test_others_may_not_read_it(tmp_path: Path) -> None:
    file = tmp_path / "user_ca"
    assert read_ring(file) is None
    write_ring(file, KeyRing.new("a", NOW), tmp_path / "other")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(FileUnusable, match="chmod 600"):
        read_ring(file)


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_crash_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The file is what it was before, and the next try works."""

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    file, ring = tmp_path / "user_ca", KeyRing.new("a", NOW)
    write_ring(file, ring, tmp_path / "other")
    after = ring.rotated("b", NOW, DAY)
    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "replace" else os, step, crash)
        with pytest.raises(Crash):
            write_ring(file, after, tmp_path / "other")
    assert read_ring(file) == ring
    write_ring(file, after, tmp_path / "other")
    assert read_ring(file) == after


def test_a_file_of_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub's account could not read any more is written beside, as with a Secret."""
    file, other, ring = tmp_path / "user_ca", tmp_path / "user_ca.next", KeyRing.new("a", NOW)
    write_ring(file, ring, other)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    after = ring.rotated("b", NOW, DAY)
    assert write_ring(file, after, other) == other
    monkeypatch.undo()
    assert (read_ring(file), read_ring(other)) == (ring, after)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file, ring = tmp_path / "user_ca", KeyRing.new("a", NOW)
    file.symlink_to(tmp_path / "elsewhere" / "ca")
    assert write_ring(file, ring, tmp_path / "other") == file
    assert file.is_symlink()
    assert read_ring(tmp_path / "elsewhere" / "ca") == ring
