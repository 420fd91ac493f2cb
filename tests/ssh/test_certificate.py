"""The key in a certificate, for every type that OpenSSH certifies."""

from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import SSHPacket, String
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.ssh.certificate import MAX_BYTES, certificate_name, key_of, read_key

KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]


@pytest.mark.parametrize("kind", [*KINDS, "ssh-rsa"])
def test_key_in_a_certificate(kind: str, tmp_path: Path) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key(kind)
    certificate = authority.generate_user_certificate(key, "id", principals=["alice"])
    blob = certificate.public_data
    assert SSHPacket(blob).get_string().decode() == certificate_name(kind)
    assert key_of(blob) == key.public_data
    packet = SSHPacket(blob)
    assert read_key(packet) == key.public_data
    assert packet.get_uint64() == 0  # the serial number, which follows
    assert key_of(key.public_data) is None
    assert key_of(blob + bytes(MAX_BYTES)) is None


@pytest.mark.parametrize(
    ("algorithm", "fields"),
    [("sk-ssh-ed25519@openssh.com", 2), ("sk-ecdsa-sha2-nistp256@openssh.com", 3)],
)
def test_hardware_key(algorithm: str, fields: int) -> None:
    """PROTOCOL.u2f: the application follows the key's own fields."""
    own = b"".join(String(f"field {number}") for number in range(fields))
    blob = String(certificate_name(algorithm)) + String("nonce") + own + bytes(100)
    assert key_of(blob) == String(algorithm) + own


def test_names() -> None:
    assert certificate_name("ssh-ed25519") == "ssh-ed25519-cert-v01@openssh.com"
    assert certificate_name("rsa-sha2-512") == "rsa-sha2-512-cert-v01@openssh.com"
    hardware = "sk-ecdsa-sha2-nistp256"
    assert certificate_name(f"{hardware}@openssh.com") == f"{hardware}-cert-v01@openssh.com"


@pytest.mark.parametrize(
    "algorithm", ["rsa-sha2-512-cert-v01@openssh.com", "x509v3-ssh-rsa", "ssh-rsa", "\u00e9"]
)
def test_other_types(algorithm: str) -> None:
    """A key's type in a certificate is never a signature's (RFC 8332, section 3)."""
    assert key_of(String(algorithm) + String("") * 5) is None


@given(st.binary() | st.binary().map(lambda rest: String(certificate_name("ssh-rsa")) + rest))
def test_any_bytes_are_a_key_or_none(blob: bytes) -> None:
    key = key_of(blob)
    assert key is None or key.startswith(String("ssh-rsa"))
