"""The algorithms that our SSH servers and clients offer: OpenSSH 9's, without what ssh-audit names.

asyncssh's own defaults still end in SHA-1 and in names of other vendors. Strict key exchange (the
answer to Terrapin, CVE-2023-48795) is asyncssh's own doing whenever the other side knows it.
Patterns in order of preference: what this asyncssh or its libraries lack is left out.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TypedDict

from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_public_key_algs

_KEX = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512*",
    "curve25519-sha256*",
    "diffie-hellman-group16-sha512",  # where only what FIPS 140 knows is allowed
    "diffie-hellman-group18-sha512",
)
_CIPHERS = (
    "aes128-gcm@openssh.com",  # the fastest first: the client's order decides
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes*-ctr",
)
_MACS = (
    "umac-128-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
)
_SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp*",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-512",
)


class Algorithms(TypedDict):
    """Keyword arguments of asyncssh's `listen` and `connect`."""

    kex_algs: list[str]
    encryption_algs: list[str]
    mac_algs: list[str]
    signature_algs: list[str]


def modern_algorithms() -> Algorithms:
    """Return what to hand to asyncssh's `listen` or `connect`: `**modern_algorithms()`."""
    return Algorithms(
        kex_algs=_choose(_KEX, get_kex_algs()),
        encryption_algs=_choose(_CIPHERS, get_encryption_algs()),
        mac_algs=_choose(_MACS, get_mac_algs()),
        signature_algs=_choose(_SIGNATURES, get_public_key_algs()),
    )


def _choose(patterns: Iterable[str], available: Iterable[bytes]) -> list[str]:
    names = [name.decode("ascii") for name in available]
    return [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]
