"""The signature file that `ssh-keygen -Y sign` writes (OpenSSH's PROTOCOL.sshsig), as a value.

Reads only: whether the signature is true and whose it is are decided in `ssh_key`. asyncssh's own
`validate_sshsig` is not used: it takes any namespace, SHA-1 signatures and certificates, and
raises on input that a stranger may send.

    armor = "-----BEGIN SSH SIGNATURE-----" base64 "-----END SSH SIGNATURE-----"
    file  = "SSHSIG" uint32(1) string(key) string(namespace) string(reserved) string(hash)
            string(signature)
    what is signed = "SSHSIG" string(namespace) string(reserved) string(hash) string(H(message))
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncssh.packet import SSHPacket, String

MAX_ARMOR_LENGTH = 16384

_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES: dict[bytes, Callable[[bytes], Any]] = {
    b"sha256": hashlib.sha256,
    b"sha512": hashlib.sha512,
}


@dataclass(frozen=True, slots=True)
class FileSignature:
    """A signature over a message, not yet verified.

    Attributes:
        public_key: the blob of the key that is said to have signed.
        namespace: what it was signed for.
        reserved: empty today; part of what is signed.
        hash_name: `sha256` or `sha512`.
        signature: the SSH signature blob.
    """

    public_key: bytes
    namespace: bytes
    reserved: bytes
    hash_name: bytes
    signature: bytes

    def signed(self, message: bytes) -> bytes:
        """Return the data that the key must have signed for this message."""
        digest = _HASHES[self.hash_name](message).digest()
        fields = (self.namespace, self.reserved, self.hash_name, digest)
        return _MAGIC + b"".join(String(each) for each in fields)


def parse_signature(armor: str) -> FileSignature:
    """Read an armored signature.

    Args:
        armor: at most 16,384 characters; white space around and within it does not matter.

    Raises:
        ValueError: it is none, or of a version or hash that we do not know.
    """
    if len(armor) > MAX_ARMOR_LENGTH:
        raise ValueError("the signature is too long")
    text = armor.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise ValueError("the signature has no armor")
    body = "".join(text.removeprefix(_BEGIN).removesuffix(_END).split())
    packet = SSHPacket(base64.b64decode(body, validate=True))
    if packet.get_bytes(len(_MAGIC)) != _MAGIC or packet.get_uint32() != _VERSION:
        raise ValueError("the signature is of an unknown version")
    fields = [packet.get_string() for _ in range(5)]
    packet.check_end()
    signature = FileSignature(*fields)
    if signature.hash_name not in _HASHES:
        raise ValueError("the signature is over an unknown hash")
    return signature
