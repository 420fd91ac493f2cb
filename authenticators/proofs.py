"""What somebody claims to prove: a key or a certificate, and a signature over what was asked.

Shared by the authenticators. Reads and verifies; whose the key is, they decide. The two kinds of
signed bytes cannot pass for each other (see `login_request`).
"""

from dataclasses import dataclass

from kworkspace.authenticators.certificates import (
    UserCertificate,
    decode_certificate,
    is_certificate,
    parse_certificate,
)
from kworkspace.authenticators.keys import PublicKey, decode_public_key, parse_public_key
from kworkspace.authenticators.login_request import LoginRequest, parse_login_request
from kworkspace.authenticators.sshsig import parse_signature
from kworkspace.cli.client.challenge import SIGNATURE_NAMESPACE
from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.names import INVITE, parse_login

Credential = PublicKey | UserCertificate


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature that is well-formed and over the right thing, not yet verified.

    Attributes:
        credential: the key or certificate that it names.
        signed: what was signed.
        signature: the SSH signature blob.
    """

    credential: Credential
    signed: bytes
    signature: bytes

    def is_true(self) -> bool:
        """Whether the credential's private key has made the signature."""
        key = self.credential
        if isinstance(key, UserCertificate):
            key = key.key
        return key.verify(self.signed, self.signature)


def parse_credential(line: str) -> Credential | None:
    """Read the OpenSSH line of a public key or a user certificate, None if it is none."""
    try:
        if "-cert-v" in line.partition(" ")[0]:
            return parse_certificate(line)
        return parse_public_key(line)
    except (ValueError, BadRequest):
        return None


def claim_of_text(text: bytes, armor: str) -> Claim | None:
    """Return what an armored signature over a challenge's text claims, None if it is none."""
    try:
        parsed = parse_signature(armor)
        blob = parsed.public_key
        read = decode_certificate if is_certificate(blob) else decode_public_key
        credential: Credential = read(blob)
    except (ValueError, BadRequest):
        return None
    if parsed.namespace != SIGNATURE_NAMESPACE.encode():
        return None
    return Claim(credential, parsed.signed(text), parsed.signature)


def claim_of_login(login: str, line: str, signed: bytes, signature: bytes) -> Claim | None:
    """Return what a signed publickey request claims, None if it is none, or another login's.

    The logins are compared as parsed: SSH clients send what was typed, in any case, and asyncssh
    hands it on normalised (RFC 4252, section 5).
    """
    try:
        request = parse_login_request(signed)
        same_login = parse_login(request.login) == parse_login(login)
    except (ValueError, BadRequest):
        return None
    return _claim_of(request, line, signed, signature) if same_login else None


def claim_of_invite(line: str, signed: bytes, signature: bytes) -> Claim | None:
    """Return what a signed publickey request of the login `invite` claims, None if it is none."""
    try:
        request = parse_login_request(signed)
    except ValueError:
        return None
    return _claim_of(request, line, signed, signature) if request.login == INVITE else None


def _claim_of(request: LoginRequest, line: str, signed: bytes, signature: bytes) -> Claim | None:
    credential = parse_credential(line)
    if credential is None or request.public_key != credential.blob:
        return None
    algorithm = credential.signature_algorithm(request.algorithm)
    if algorithm is None or not _is_of_algorithm(signature, algorithm):
        return None
    return Claim(credential, signed, signature)


def _is_of_algorithm(signature: bytes, algorithm: str) -> bool:
    """Whether the signature blob begins with the algorithm that the request names."""
    name = algorithm.encode()
    return signature.startswith(len(name).to_bytes(4, "big") + name)
