"""The parser of the signed publickey request, byte for byte (RFC 4252, section 7)."""

import pytest
from asyncssh.packet import String
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.login_request import LoginRequest, parse_login_request

SESSION = bytes(range(32))


def request(
    *,
    session: bytes = SESSION,
    kind: bytes = b"\x32",
    service: str = "ssh-connection",
    method: str = "publickey",
    has_signature: bytes = b"\x01",
    end: bytes = b"",
) -> bytes:
    """A request with whatever field the test wants wrong."""
    head = String(session) + kind + String("alice") + String(service) + String(method)
    return head + has_signature + String("ssh-ed25519") + String(b"blob") + end


def test_every_field_is_read() -> None:
    assert parse_login_request(request()) == LoginRequest(SESSION, "alice", "ssh-ed25519", b"blob")


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        request(session=b""),
        request(session=bytes(65)),
        request(kind=b"\x33"),
        request(service="ssh-userauth"),
        request(method="hostbased"),
        request(method="publickey-hostbound-v00@openssh.com"),
        request(has_signature=b"\x00"),
        request(has_signature=b"\x02"),
        request(end=b"\0"),
        request()[:-1],
        b"SSHSIG" + String("kworkspace") + String("") + String("sha512") + String(bytes(64)),
    ],
)
def test_anything_else_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_login_request(bad)


@given(st.binary())
def test_any_bytes_are_refused(signed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_login_request(signed)
