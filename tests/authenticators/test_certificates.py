"""User certificates: what ssh-keygen issues is read; crafted ones are refused."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asyncssh.packet import String, UInt32, UInt64
from asyncssh.public_key import SSHKey, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.certificates import (
    UserCertificate,
    decode_certificate,
    is_certificate,
    parse_certificate,
)
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.cli.client.errors import BadRequest
from kworkspace.ssh.certificate import MAX_BYTES, certificate_name
from tests.authenticators.conftest import KINDS, KeyFile, certify, make_key

ADDRESS = "192.0.2.7"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = int(NOON.timestamp())
FOREVER = 2**64 - 1


@dataclass
class Draft:
    """A certificate with whatever field the test wants wrong, signed all the same."""

    authority: SSHKey
    key: SSHKey
    kind: int = 1
    principals: bytes = field(default_factory=lambda: String("alice"))
    valid_after: int = 0
    valid_before: int = FOREVER
    critical: bytes = b""
    algorithm: str = "ssh-ed25519-cert-v01@openssh.com"
    signing_key: bytes | None = None
    signature_algorithm: bytes = b""
    end: bytes = b""

    @property
    def blob(self) -> bytes:
        """Its wire form."""
        body = String(self.algorithm) + String(bytes(32)) + self.key.encode_ssh_public()
        body += UInt64(7) + UInt32(self.kind) + String("id") + String(self.principals)
        body += UInt64(self.valid_after) + UInt64(self.valid_before) + String(self.critical)
        body += String(b"") + String(b"")
        body += String(self.signing_key or self.authority.public_data)
        algorithm = self.signature_algorithm or self.authority.algorithm
        return body + String(self.authority.sign(body, algorithm)) + self.end


@pytest.fixture(scope="session")
def draft() -> Draft:
    """A good one, for everybody to change a copy of."""
    return Draft(generate_private_key("ssh-ed25519"), generate_private_key("ssh-ed25519"))


def changed(draft: Draft, **fields: object) -> bytes:
    """The draft's blob with other fields."""
    return Draft(**{**draft.__dict__, **fields}).blob


def option(name: str, value: str) -> bytes:
    """A critical option."""
    return String(name) + String(String(value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("authority_kind", ["ed25519", "rsa", "nistp384"])
def test_reads_what_ssh_keygen_issues(
    tmp_path: Path, key_files: dict[str, KeyFile], kind: str, authority_kind: str
) -> None:
    make_key(tmp_path / "id", KINDS[kind])
    ca = key_files[authority_kind]
    validity = ("-V", "20300101000000Z:20300102000000Z", "-O", "source-address=192.0.2.0/24")
    path = certify(ca.path, tmp_path / "id.pub", *validity, principals="alice,bob")
    certificate = parse_certificate(path.read_text())
    assert certificate.key.fingerprint == KeyFile(tmp_path / "id").fingerprint
    assert certificate.fingerprint == f"CA {ca.fingerprint}"
    assert certificate.principals == {"alice", "bob"}
    assert certificate.expires == datetime(2030, 1, 2, tzinfo=UTC)
    assert certificate.holds("alice", NOON, ADDRESS)
    assert not certificate.holds("alice", NOON, "198.51.100.1")
    assert not certificate.holds("alice", NOON, "")
    assert is_certificate(certificate.blob)
    assert decode_certificate(certificate.blob) == certificate
    with pytest.raises(BadRequest, match="this is a certificate"):
        parse_public_key(path.read_text())


def test_when_it_holds(draft: Draft) -> None:
    """From its first second to before its last, as in OpenSSH."""
    blob = changed(draft, valid_after=SECOND, valid_before=SECOND + 10)
    certificate = decode_certificate(blob)
    seconds = [-1, 0, 9, 10]
    moments = [datetime.fromtimestamp(SECOND + second, UTC) for second in seconds]
    held = [certificate.holds("alice", moment, ADDRESS) for moment in moments]
    assert held == [False, True, True, False]


@pytest.mark.parametrize("end", [FOREVER, 2**63, 10**12])
def test_one_that_never_ends(draft: Draft, end: int) -> None:
    certificate = decode_certificate(changed(draft, valid_before=end))
    assert certificate.expires is None
    assert certificate.holds("alice", NOON, ADDRESS)


@pytest.mark.parametrize(
    "principals",
    [
        b"",
        String(""),
        String("Alice"),
        String("alice,bob"),
        String("alice "),
        String("alice\0"),
        String("*"),
        String("al\u0131ce"),
    ],
)
def test_principal_is_the_name_itself(draft: Draft, principals: bytes) -> None:
    certificate = decode_certificate(changed(draft, principals=principals))
    assert not certificate.holds("alice", NOON, ADDRESS)
    assert not certificate.holds("bob", NOON, ADDRESS)


def test_principal_in_another_normal_form(draft: Draft) -> None:
    """A user's name is kept in NFC; a certificate that says it otherwise is for somebody else."""
    certificate = decode_certificate(changed(draft, principals=String("ali\u0301ce")))
    assert not certificate.holds("al\u00edce", NOON, ADDRESS)


@pytest.mark.parametrize(
    ("networks", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("198.51.100.1,2001:db8::/32", "2001:db8::7", "192.0.2.7"),
    ],
)
def test_source_address(draft: Draft, networks: str, inside: str, outside: str) -> None:
    blob = changed(draft, critical=option("source-address", networks))
    certificate = decode_certificate(blob)
    assert certificate.holds("alice", NOON, inside)
    assert not certificate.holds("alice", NOON, outside)


def refused(blob: bytes) -> bool:
    """Whether it is refused by one of the errors that callers expect."""
    try:
        decode_certificate(blob)
    except (ValueError, BadRequest):
        return True
    return False


@pytest.mark.parametrize(
    "critical",
    [
        option("force-command", "true"),
        option("verify-required", ""),
        option("no-such-option", "x"),
        option("source-address", ""),
        option("source-address", "192.0.2.1/24"),
        option("source-address", "192.0.2.*"),
        option("source-address", "!192.0.2.1"),
        option("source-address", "host.example.org"),
        option("source-address", "192.0.2.0/24") + option("source-address", "0.0.0.0/0"),
        String("source-address") + String(String("192.0.2.0/24") + b"\0"),
        String("source-address"),
        b"\xff",
    ],
)
def test_critical_option_that_is_not_honoured(draft: Draft, critical: bytes) -> None:
    assert refused(changed(draft, critical=critical))


def test_every_field_is_bound(draft: Draft) -> None:
    assert not refused(draft.blob)
    for fields in (
        {"kind": 2},
        {"kind": 0},
        {"principals": b"\xff"},
        {"principals": String(b"\xff")},
        {"principals": b"".join(String(str(number)) for number in range(257))},
        {"algorithm": "ssh-rsa-cert-v01@openssh.com"},
        {"algorithm": "ssh-ed25519"},
        {"algorithm": "ssh-ed25519-cert-v00@openssh.com"},
        {"algorithm": "x509v3-ssh-rsa"},
        {"end": b"\0"},
    ):
        assert refused(changed(draft, **fields)), fields


def test_signature_must_be_the_authoritys(draft: Draft) -> None:
    other = generate_private_key("ssh-ed25519")
    assert refused(changed(draft, authority=other, signing_key=draft.authority.public_data))
    blob = draft.blob
    for position in range(len(blob)):
        flipped = bytes([*blob[:position], blob[position] ^ 1, *blob[position + 1 :]])
        assert refused(flipped), position


def test_certificate_is_no_authority(draft: Draft) -> None:
    """A chain: somebody certified may certify nobody."""
    nested = changed(draft, authority=draft.key, signing_key=draft.blob)
    assert refused(nested)


def test_weak_signatures_and_keys(draft: Draft) -> None:
    rsa = generate_private_key("ssh-rsa", key_size=2048)
    short = generate_private_key("ssh-rsa", key_size=1024)
    assert not refused(changed(draft, authority=rsa, signature_algorithm=b"rsa-sha2-512"))
    assert refused(changed(draft, authority=rsa, signature_algorithm=b"ssh-rsa"))
    assert refused(changed(draft, authority=short, signature_algorithm=b"rsa-sha2-512"))
    name = certificate_name("ssh-rsa")
    assert not refused(changed(draft, key=rsa, algorithm=name))
    assert refused(changed(draft, key=short, algorithm=name))


def test_large_one(draft: Draft) -> None:
    """It is told by its size, before anything is verified."""
    principal = "p" * (MAX_BYTES // 2)
    assert not refused(changed(draft, principals=String(principal)))
    assert refused(changed(draft, principals=String(principal) + String(principal)))
    with pytest.raises(ValueError, match="too long"):
        parse_certificate(f"{draft.algorithm} {'A' * 100_000}")


@pytest.mark.parametrize("line", ["", "x", "x y", "ssh-ed25519-cert-v01@openssh.com !"])
def test_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_certificate(line)


def test_line_of_another_type(draft: Draft) -> None:
    encoded = base64.b64encode(draft.blob).decode()
    assert parse_certificate(f"{draft.algorithm} {encoded}").blob == draft.blob
    for name in ("ssh-rsa-cert-v01@openssh.com", "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.co"):
        with pytest.raises(ValueError, match="another type"):
            parse_certificate(f"{name} {encoded}")


def test_algorithms_of_a_login(draft: Draft) -> None:
    rsa = generate_private_key("ssh-rsa", key_size=2048)
    blob = changed(draft, key=rsa, algorithm=certificate_name("ssh-rsa"))
    certificate = decode_certificate(blob)
    named = {
        "rsa-sha2-512-cert-v01@openssh.com": "rsa-sha2-512",
        "rsa-sha2-256-cert-v01@openssh.com": "rsa-sha2-256",
        "ssh-rsa-cert-v01@openssh.com": None,
        "rsa-sha2-512": None,
        "ssh-ed25519-cert-v01@openssh.com": None,
    }
    assert {name: certificate.signature_algorithm(name) for name in named} == named


@given(
    st.binary() | st.binary().map(lambda rest: String("ssh-ed25519-cert-v01@openssh.com") + rest)
)
def test_any_bytes_are_refused(blob: bytes) -> None:
    assert refused(blob)
    assert is_certificate(blob) in {True, False}


@given(st.lists(st.binary(max_size=60).map(String), max_size=12).map(b"".join))
def test_any_fields_are_refused(rest: bytes) -> None:
    assert refused(String("ecdsa-sha2-nistp256-cert-v01@openssh.com") + rest)


def test_value_is_compared_by_its_fields(draft: Draft) -> None:
    one = decode_certificate(draft.blob)
    assert isinstance(one, UserCertificate)
    assert one == decode_certificate(draft.blob)
    assert one != decode_certificate(changed(draft, valid_before=5))
