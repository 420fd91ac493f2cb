"""The user's own proof: what their key signed to log in (RFC 4252, section 7).

asyncssh asks `validate_public_key` about a key that is merely offered as well as about one that
has signed, and afterwards calls `verify` on that very key object with what was signed. So the
object is given a `verify` that keeps what it verified. In asyncssh 2.24 nothing is awaited between
a signature found good and `auth_completed`, so that the last one kept is the one that opened the
door, whatever a client offered before, after, or at the same time; each request has a key object
of its own. `tests/gateway/test_proof.py` fails when an asyncssh does this differently, and a login
without a proof is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

from kworkspace.gateway.certificate import offered_line
from kworkspace.ssh.algorithms import modern_algorithms

_VERIFY = "verify"
_USERAUTH_REQUEST = 50  # RFC 4250, section 4.1.2
_ALLOWED = frozenset(name.encode("ascii") for name in modern_algorithms()["signature_algs"])


@dataclass(frozen=True, slots=True)
class Proof:
    """A publickey authentication request that was signed, and found good here.

    Attributes:
        login: the user name in the signed request, as it came.
        session_id: of the SSH connection, out of the signed bytes.
        public_key: the key that signed, or the certificate that it is in: an OpenSSH line.
        signed: session identifier and request, the bytes that were signed.
        signature: the SSH signature blob.
    """

    login: str
    session_id: bytes
    public_key: str
    signed: bytes
    signature: bytes


def keep_proof(key: asyncssh.SSHKey, keep: Callable[[Proof], None]) -> None:
    """Have a key, handed to `validate_public_key`, hand on what it verifies from now on.

    Args:
        key: the object that asyncssh made for this one request.
        keep: called with each proof; a later one replaces an earlier.
    """
    verify, line = key.verify, offered_line(key)

    def keeping(signed: bytes, signature: bytes) -> bool:
        if _algorithm(signature) not in _ALLOWED or not verify(signed, signature):
            return False
        try:
            session_id, login = _session_and_login(signed)
        except (PacketDecodeError, UnicodeDecodeError):
            return False
        keep(Proof(login, session_id, line, signed, signature))
        return True

    setattr(key, _VERIFY, keeping)


def _algorithm(signature: bytes) -> bytes:
    try:
        return SSHPacket(signature).get_string()
    except PacketDecodeError:
        return b""


def _session_and_login(signed: bytes) -> tuple[bytes, str]:
    """Return the session identifier and the user name that a signed request carries.

    Raises:
        PacketDecodeError, UnicodeDecodeError: it is not such a request.
    """
    packet = SSHPacket(signed)
    session_id = packet.get_string()
    if packet.get_byte() != _USERAUTH_REQUEST:
        raise PacketDecodeError("Not an authentication request")
    return session_id, packet.get_string().decode()
