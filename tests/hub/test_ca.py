"""The user authority: certificates as narrow as can be, a key that stays its owner's."""

import os
import subprocess
from pathlib import Path

import asyncssh
import pytest

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import BadRequest, KworkspaceError
from kworkspace.hub.ca import DoorKey, UserAuthority
from tests.hub.conftest import Clock, KeyFile


def test_key_is_made_once_and_only_for_its_owner(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "user_ca"
    first = UserAuthority.load(file, clock)
    assert file.stat().st_mode & 0o777 == 0o600
    assert UserAuthority.load(file, clock).public_keys() == first.public_keys()
    [line] = first.public_keys()
    assert line.startswith("ssh-ed25519 ")


def test_file_that_is_no_key(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "user_ca"
    file.write_text("nonsense")
    file.chmod(0o600)
    with pytest.raises(KworkspaceError, match="user_ca is not a usable private key"):
        UserAuthority.load(file, clock)


def test_certificate(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    """As OpenSSH reads it."""
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    file = tmp_path / "certificate"
    file.write_text(
        authority.issue(
            public_key=keys["ed25519"].line, principal="uuid", key_id="whose", sources=["192.0.2.1"]
        )
    )
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(file)],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(shown.split())
    assert "ssh-ed25519-cert-v01@openssh.com user certificate" in words
    assert 'Key ID: "whose"' in words
    assert "Valid: from 2030-01-02T03:03:05 to 2030-01-02T03:09:05" in words
    assert "Principals: uuid Critical Options: source-address 192.0.2.1/32 Extensions" in words
    assert "permit-pty" in words
    assert "permit-X11-forwarding" not in words
    (tmp_path / "authority.pub").write_text(authority.public_keys()[0])
    fingerprint = asyncssh.read_public_key(tmp_path / "authority.pub").get_fingerprint()
    assert f"Signing CA: ED25519 {fingerprint}" in words


@pytest.mark.parametrize("line", ["", "nonsense", "ssh-ed25519 AAAA", "ssh-ed25519 \n x"])
def test_public_key_that_is_none(tmp_path: Path, clock: Clock, line: str) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    with pytest.raises(BadRequest, match="public_key: not an OpenSSH public key"):
        authority.issue(public_key=line, principal="uuid", key_id="whose", sources=["192.0.2.1"])


def test_door_key(tmp_path: Path) -> None:
    """Only the gateway's own signature over this very session vouches for it."""
    file = tmp_path / "gateway_host_key"
    key = DoorKey.load(file)
    assert file.stat().st_mode & 0o777 == 0o600
    private = asyncssh.read_private_key(file)
    assert DoorKey.load(file).public_key == key.public_key
    good = private.sign(door_text(b"session"), b"ssh-ed25519")
    assert key.signed(b"session", good)
    other = asyncssh.generate_private_key("ssh-ed25519")
    for session, signature in (
        (b"another", good),
        (b"session", other.sign(door_text(b"session"), b"ssh-ed25519")),
        (b"session", private.sign(b"session", b"ssh-ed25519")),
        (b"session", b""),
        (b"session", b"\0\0\0\x0bssh-ed25519"),
        (b"", good),
    ):
        assert not key.signed(session, signature)


def test_sources(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    line = authority.issue(
        public_key=keys["ed25519"].line,
        principal="uuid",
        key_id="whose",
        sources=["127.0.0.1", "::1", "192.0.2.0/28"],
    )
    (tmp_path / "cert.pub").write_text(line)
    command = ["ssh-keygen", "-L", "-f", str(tmp_path / "cert.pub")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = shown.split("source-address ")[1].split()[0]
    assert found == "127.0.0.1/32,::1/128,192.0.2.0/28"


def test_session_key_is_modern(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    with pytest.raises(BadRequest, match="public_key: a session's key is an ssh-ed25519 one"):
        authority.issue(
            public_key=keys["rsa"].line, principal="uuid", key_id="whose", sources=["::1"]
        )
