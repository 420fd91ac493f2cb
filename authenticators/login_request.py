"""The publickey authentication request that a user's SSH client signs (RFC 4252, section 7).

    string   session identifier
    byte     50 (SSH_MSG_USERAUTH_REQUEST)
    string   user name
    string   "ssh-connection"
    string   "publickey"
    boolean  TRUE
    string   signature algorithm
    string   public key

Reads only. What a signature file signs begins with "SSHSIG", which as the length of a session
identifier is beyond any request: neither kind of signature can pass for the other.
"""

from dataclasses import dataclass

from asyncssh.packet import SSHPacket

_USERAUTH_REQUEST = 50
_SERVICE = b"ssh-connection"
_METHOD = b"publickey"
_TRUE = 1
_HASH_SIZES = range(20, 65)
"""A session identifier is the hash of the first key exchange: SHA-1 to SHA-512 (RFC 4253, 7.2)."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What the signed request says.

    Attributes:
        session_id: of the SSH connection that it was made for.
        login: the SSH user name.
        algorithm: of the signature.
        public_key: the blob of the key that is said to have signed.
    """

    session_id: bytes
    login: str
    algorithm: str
    public_key: bytes


def parse_login_request(signed: bytes) -> LoginRequest:
    """Read the data that was signed, to its last byte.

    Raises:
        ValueError: it is not a publickey request that was signed.
    """
    packet = SSHPacket(signed)
    session_id = packet.get_string()
    if len(session_id) not in _HASH_SIZES:
        raise ValueError("no session identifier")
    kind, login = packet.get_byte(), packet.get_string()
    service, method, has_signature = packet.get_string(), packet.get_string(), packet.get_byte()
    if (kind, service, method, has_signature) != (_USERAUTH_REQUEST, _SERVICE, _METHOD, _TRUE):
        raise ValueError("not a signed publickey request")
    algorithm, public_key = packet.get_string(), packet.get_string()
    packet.check_end()
    return LoginRequest(session_id, login.decode(), algorithm.decode("ascii"), public_key)
