"""SSH public keys: which are good enough, and which signatures of theirs count.

`parse_public_key` reads one OpenSSH line, `decode_public_key` the blob of a signature or a login.
asyncssh decodes and verifies; the policy stands here, because asyncssh accepts more than we do:
SHA-1 and other old RSA signatures, short RSA keys, a curve that is not the one of the key's type,
hardware keys that nobody touched. Formats: RFC 4253 (6.6), RFC 5656 (3.1), RFC 8332, RFC 8709,
OpenSSH's PROTOCOL.u2f.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from asyncssh.packet import SSHPacket
from asyncssh.public_key import SSHKey, decode_ssh_public_key
from cryptography.exceptions import UnsupportedAlgorithm

from kworkspace.cli.client.errors import BadRequest

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384
MAX_LINE_LENGTH = 8192

_UNCOMPRESSED_POINT = 4

_SIGNATURE_ALGORITHMS: dict[str, frozenset[str]] = {
    "ssh-ed25519": frozenset({"ssh-ed25519"}),
    "ssh-rsa": frozenset({"rsa-sha2-256", "rsa-sha2-512"}),
    "ecdsa-sha2-nistp256": frozenset({"ecdsa-sha2-nistp256"}),
    "ecdsa-sha2-nistp384": frozenset({"ecdsa-sha2-nistp384"}),
    "ecdsa-sha2-nistp521": frozenset({"ecdsa-sha2-nistp521"}),
    "sk-ssh-ed25519@openssh.com": frozenset({"sk-ssh-ed25519@openssh.com"}),
    "sk-ecdsa-sha2-nistp256@openssh.com": frozenset({"sk-ecdsa-sha2-nistp256@openssh.com"}),
}
KEY_TYPES = tuple(_SIGNATURE_ALGORITHMS)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that the policy accepts.

    Attributes:
        algorithm: its type, as an OpenSSH line begins.
        blob: the key as it goes over the wire.
        comment: what followed the key on its line.
    """

    algorithm: str
    blob: bytes
    comment: str
    _key: SSHKey = field(repr=False, compare=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the blob: what keys are found by."""
        return hashlib.sha256(self.blob).digest()

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, as `ssh-keygen -l` shows it."""
        return "SHA256:" + base64.b64encode(self.digest).decode().rstrip("=")

    @property
    def bare_line(self) -> str:
        """The OpenSSH line without the comment."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()}"

    @property
    def line(self) -> str:
        """The OpenSSH line."""
        return f"{self.bare_line} {self.comment}" if self.comment else self.bare_line

    @property
    def signature_algorithms(self) -> frozenset[str]:
        """The algorithms in which its signatures count (RFC 8332 for RSA)."""
        return _SIGNATURE_ALGORITHMS[self.algorithm]

    def allows(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm counts."""
        return algorithm in self.signature_algorithms

    def signature_algorithm(self, named: str) -> str | None:
        """Return the algorithm of the signature when a login names this one, None for a wrong."""
        return named if self.allows(named) else None

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether this key made the signature, in an algorithm that counts, by a touched key.

        Args:
            signed: the data.
            signature: the SSH signature blob: string algorithm, then what that one needs.
        """
        try:
            if not self.allows(SSHPacket(signature).get_string().decode()):
                return False
            return self._key.verify(signed, signature)
        except (ValueError, UnsupportedAlgorithm):
            return False


def decode_public_key(blob: bytes, comment: str = "", what: str = "public_key") -> PublicKey:
    """Read a key from its wire form.

    Args:
        blob: string type, then the numbers of that type.
        comment: to keep with it.
        what: how the error calls the key.

    Raises:
        BadRequest: it is no key, or one that is not accepted; the key itself is not repeated.
    """
    try:
        packet = SSHPacket(blob)
        algorithm = packet.get_string().decode("ascii")
        _check_type(algorithm, what)
        _check_numbers(algorithm, packet, what)
        key = decode_ssh_public_key(blob)
    except (ValueError, UnsupportedAlgorithm):
        raise BadRequest(f"{what}: the key is damaged; copy it again, all in one line") from None
    if key.public_data != blob:
        raise BadRequest(f"{what}: the key is not in its one proper form; copy it again")
    key.set_touch_required(True)
    return PublicKey(algorithm, blob, comment, key)


def parse_public_key(line: str, what: str = "public_key") -> PublicKey:
    """Read a line as in `id_ed25519.pub`: type, base64, and perhaps a comment.

    Args:
        line: without the options that an authorized_keys file may have in front.
        what: how the error calls the key.

    Raises:
        BadRequest: it is no key, or one that is not accepted; the key itself is not repeated.
    """
    line = line.strip(" \n")
    if len(line) > MAX_LINE_LENGTH:
        raise BadRequest(f"{what}: the line has more than {MAX_LINE_LENGTH} characters")
    if not line.isprintable():
        raise BadRequest(
            f"{what}: a control character is in it (a line break, a tab?); one key is one line"
        )
    algorithm, _, rest = line.partition(" ")
    encoded, _, comment = rest.strip().partition(" ")
    if algorithm not in _SIGNATURE_ALGORITHMS and any(f"{kind} " in rest for kind in KEY_TYPES):
        raise BadRequest(f"{what}: options in front of a key are not read; begin with its type")
    _check_type(algorithm, what)
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{what}: the key is damaged; copy it again, all in one line") from None
    if base64.b64encode(blob).decode() != encoded:  # bits that say nothing, as OpenSSH checks too
        raise BadRequest(f"{what}: the key is damaged; copy it again, all in one line")
    key = decode_public_key(blob, comment.strip(), what)
    if key.algorithm != algorithm:
        raise BadRequest(f"{what}: the line says {algorithm}, the key in it is {key.algorithm}")
    return key


def _check_type(algorithm: str, what: str) -> None:
    if algorithm in _SIGNATURE_ALGORITHMS:
        return
    if "-cert-v" in algorithm:
        raise BadRequest(f"{what}: this is a certificate; give the plain public key")
    if algorithm == "ssh-dss":
        raise BadRequest(f"{what}: DSA keys are too weak; make one with `ssh-keygen -t ed25519`")
    raise BadRequest(
        f"{what}: a public key line begins with its type, one of {', '.join(KEY_TYPES)}"
    )


def _check_numbers(algorithm: str, packet: SSHPacket, what: str) -> None:
    """Check what asyncssh does not: RSA's size, and that the curve is the one the type names."""
    if algorithm == "ssh-rsa":
        exponent, modulus = packet.get_mpint(), packet.get_mpint()
        if exponent <= 0 or modulus <= 0:
            raise ValueError("negative")  # on which asyncssh would end with an OverflowError
        bits = modulus.bit_length()
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise BadRequest(
                f"{what}: an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, this one has {bits}"
            )
    elif "ecdsa-sha2-" in algorithm:
        curve = packet.get_string().decode("ascii")
        if curve != algorithm.partition("ecdsa-sha2-")[2].removesuffix("@openssh.com"):
            raise BadRequest(f"{what}: the key's curve is not the one that its type names")
        if packet.get_string()[:1] != bytes([_UNCOMPRESSED_POINT]):
            raise BadRequest(f"{what}: the key is not in its one proper form; copy it again")
