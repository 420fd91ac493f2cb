"""What a proof claims: a key's or a certificate's; anything else is none."""

import base64
from functools import partial

import pytest
from asyncssh.public_key import read_private_key
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.certificates import UserCertificate
from kworkspace.authenticators.keys import PublicKey
from kworkspace.authenticators.proofs import claim_of_login, claim_of_text, parse_credential
from tests.authenticators.conftest import (
    TEXT,
    HardwareKey,
    KeyFile,
    certify,
    file_signature,
)
from tests.authenticators.test_ssh_key import SESSION, request_of


@pytest.fixture
def certificate(new_key: KeyFile, authority: KeyFile) -> str:
    """The line of alice's certificate."""
    return certify(authority.path, new_key.path.with_suffix(".pub")).read_text().strip()


def test_line_of_either_kind(new_key: KeyFile, certificate: str) -> None:
    assert isinstance(parse_credential(new_key.line), PublicKey)
    assert isinstance(parse_credential(certificate), UserCertificate)
    assert isinstance(parse_credential(certificate.rpartition(" ")[0]), UserCertificate)
    assert parse_credential("-cert-v") is None
    assert parse_credential(certificate[:-40]) is None


def test_ssh_keygen_signs_with_a_certificate(new_key: KeyFile, certificate: str) -> None:
    path = new_key.path.with_name("id-cert.pub")
    claim = claim_of_text(TEXT, KeyFile(path).sign())
    assert claim is not None
    assert claim.credential == parse_credential(certificate)
    assert claim.is_true()


def test_key_in_the_certificate_is_the_one_that_signs(
    certificate: str, other_key: KeyFile, new_key: KeyFile
) -> None:
    """Somebody else's certificate is worth nothing without its key."""
    blob = base64.b64decode(certificate.split()[1])
    for key, counts in ((new_key, True), (other_key, False)):
        sign = partial(read_private_key(key.path).sign, sig_algorithm=b"ssh-ed25519")
        armor = file_signature(blob, sign)
        claim = claim_of_text(TEXT, armor)
        assert claim is not None
        assert claim.is_true() is counts


@pytest.mark.parametrize(
    ("named", "counts"),
    [("ssh-ed25519-cert-v01@openssh.com", True), ("ssh-ed25519", False), ("ssh-rsa", False)],
)
def test_login_names_the_certificates_algorithm(
    new_key: KeyFile, certificate: str, named: str, counts: bool
) -> None:
    blob = base64.b64decode(certificate.split()[1])
    request = request_of(SESSION, "alice", named, blob)
    signature = read_private_key(new_key.path).sign(request, b"ssh-ed25519")
    claim = claim_of_login("alice", certificate, request, signature)
    assert (claim is not None) is counts
    assert claim is None or claim.is_true()
    assert claim_of_login("alice", new_key.line, request, signature) is None


def test_signature_of_one_kind_is_none_of_the_other(
    new_key: KeyFile, certificate: str, hardware_keys: dict[str, HardwareKey]
) -> None:
    """A login with a key does not pass for one with its certificate, or the other way about."""
    private = read_private_key(new_key.path)
    plain = base64.b64decode(new_key.line.split()[1])
    request = request_of(SESSION, "alice", "ssh-ed25519", plain)
    signature = private.sign(request, b"ssh-ed25519")
    assert claim_of_login("alice", new_key.line, request, signature) is not None
    assert claim_of_login("alice", certificate, request, signature) is None


@given(st.text(), st.binary(), st.binary())
def test_anything_is_none(text: str, signed: bytes, signature: bytes) -> None:
    assert parse_credential(text) is None
    assert parse_credential(f"ssh-ed25519-cert-v01@openssh.com {text}") is None
    assert claim_of_text(signed, text) is None
    assert claim_of_login("alice", text, signed, signature) is None
