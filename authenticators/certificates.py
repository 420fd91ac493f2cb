"""User certificates of OpenSSH (PROTOCOL.certkeys), as values.

    string type, string nonce, the key's own fields, uint64 serial, uint32 kind, string key id,
    string principals, uint64 valid after, uint64 valid before, string critical options,
    string extensions, string reserved, string authority's key, string signature

Reads only: whether the authority is a trusted one is decided in `ssh_key`. asyncssh's own decoder
is not used: it takes SHA-1 signatures, options that are there twice, and no principal for any.
Key and authority are held to the policy of `keys`. Of the critical options only `source-address`
is known; one with any other is refused. Extensions (permit-pty and the like) bound nothing here.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from asyncssh.packet import SSHPacket, String

from kworkspace.authenticators.addresses import Network, parse_address, parse_network
from kworkspace.authenticators.keys import PublicKey, decode_public_key
from kworkspace.ssh.certificate import MAX_BYTES, certificate_name, key_of, read_key

MAX_PRINCIPALS = 256  # as in OpenSSH

_USER = 1


@dataclass(frozen=True, slots=True)
class UserCertificate:
    """A certificate that its authority has signed.

    Attributes:
        blob: the certificate as it goes over the wire.
        key: whose private half its owner must have.
        authority: the key that signed it.
        principals: the users that it is for; none is for nobody.
        valid_after: from when it holds, seconds since 1970.
        valid_before: from when it no longer holds.
        networks: from where it holds; None: from everywhere.
    """

    blob: bytes
    key: PublicKey
    authority: PublicKey
    principals: frozenset[str]
    valid_after: int
    valid_before: int
    networks: tuple[Network, ...] | None

    @property
    def fingerprint(self) -> str:
        """`CA SHA256:...`, of its authority."""
        return f"CA {self.authority.fingerprint}"

    @property
    def expires(self) -> datetime | None:
        """When it ceases to hold; None: never, or in no calendar of ours."""
        try:
            return datetime.fromtimestamp(self.valid_before, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    def signature_algorithm(self, named: str) -> str | None:
        """Return the algorithm of the signature when a login names this one (RFC 8332 for RSA)."""
        names = {certificate_name(each): each for each in self.key.signature_algorithms}
        return names.get(named)

    def holds(self, user: str, now: datetime, address: str) -> bool:
        """Whether it is this user's, at this time, from this IP address.

        Names are compared as they are: `Alice` in a certificate is not user `alice`.
        """
        return (
            user in self.principals
            and self.valid_after <= now.timestamp() < self.valid_before
            and self._reaches(address)
        )

    def _reaches(self, address: str) -> bool:
        if self.networks is None:
            return True
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)


def is_certificate(blob: bytes) -> bool:
    """Whether a blob says that it is a certificate."""
    return key_of(blob) is not None


def parse_certificate(line: str) -> UserCertificate:
    """Read a line as in `id_ed25519-cert.pub`.

    Raises:
        ValueError, BadRequest: it is no user certificate, or one that is not accepted.
    """
    algorithm, encoded = line.split(maxsplit=2)[:2]
    if len(encoded) > MAX_BYTES * 2:
        raise ValueError("too long")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("damaged") from None
    if String(algorithm) != blob[: 4 + len(algorithm)]:
        raise ValueError("another type than the line says")
    return decode_certificate(blob)


def decode_certificate(blob: bytes) -> UserCertificate:
    """Read a certificate from its wire form, and verify its authority's signature.

    Raises:
        ValueError, BadRequest: it is no user certificate, or one that is not accepted.
    """
    if len(blob) > MAX_BYTES:
        raise ValueError("too long")
    packet = SSHPacket(blob)
    key = decode_public_key(read_key(packet))
    packet.get_uint64()  # the serial number
    if packet.get_uint32() != _USER:
        raise ValueError("not a user's")
    packet.get_string()  # the key id
    principals = _principals(packet.get_string())
    valid_after, valid_before = packet.get_uint64(), packet.get_uint64()
    networks = _critical_options(packet.get_string())
    packet.get_string()  # extensions
    packet.get_string()  # reserved
    authority = decode_public_key(packet.get_string())
    signed = packet.get_consumed_payload()
    signature = packet.get_string()
    packet.check_end()
    if not authority.verify(signed, signature):
        raise ValueError("its authority has not signed it")
    return UserCertificate(blob, key, authority, principals, valid_after, valid_before, networks)


def _principals(packed: bytes) -> frozenset[str]:
    packet, principals = SSHPacket(packed), set[str]()
    while packet:
        principals.add(packet.get_string().decode())
        if len(principals) > MAX_PRINCIPALS:
            raise ValueError("too many principals")
    return frozenset(principals)


def _critical_options(packed: bytes) -> tuple[Network, ...] | None:
    """Return the networks of `source-address`; whatever else is critical is not known here."""
    packet, networks = SSHPacket(packed), None
    while packet:
        name, value = packet.get_string(), SSHPacket(packet.get_string())
        if name != b"source-address" or networks is not None:
            raise ValueError("a critical option that is not honoured")
        networks = tuple(map(parse_network, value.get_string().decode("ascii").split(",")))
        value.check_end()
    return networks
