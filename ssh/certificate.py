"""The outside of an OpenSSH certificate (PROTOCOL.certkeys): its names, and the key in it.

    certificate = string type, string nonce, the key's own fields, ...

For the gateway, which passes certificates on and verifies what their key signs, and for the
authenticators, which judge the rest. Nothing here says that a certificate is good.
"""

from asyncssh.packet import SSHPacket, String

MAX_BYTES = 8192
"""Of a certificate; those with the largest keys in use have a quarter of it."""

_VENDOR = "@openssh.com"
_SUFFIX = "-cert-v01@openssh.com"
_FIELDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""How many strings a key of each type has after its type; a multi-precision integer is one too."""


def certificate_name(algorithm: str) -> str:
    """Return what a key's or signature's algorithm is called when a certificate comes with it."""
    return algorithm.removesuffix(_VENDOR) + _SUFFIX


_TYPES = {certificate_name(algorithm).encode(): algorithm for algorithm in _FIELDS}


def read_key(packet: SSHPacket) -> bytes:
    """Read a certificate up to its serial number, and return its key's own blob.

    Raises:
        ValueError: it is no certificate of a type that we know.
    """
    algorithm = _TYPES.get(packet.get_string())
    if algorithm is None:
        raise ValueError("not a certificate")
    packet.get_string()  # the nonce
    fields = [String(packet.get_string()) for _ in range(_FIELDS[algorithm])]
    return String(algorithm) + b"".join(fields)


def key_of(blob: bytes) -> bytes | None:
    """Return the blob of the key in a certificate, None if the blob is none, or too large."""
    if len(blob) > MAX_BYTES:
        return None
    try:
        return read_key(SSHPacket(blob))
    except ValueError:
        return None
