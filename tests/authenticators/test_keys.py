"""Which keys are accepted, how a bad one is refused, and which signatures count."""

import base64
import subprocess
from pathlib import Path

import pytest
from asyncssh.packet import MPInt, String
from asyncssh.public_key import generate_private_key
from cryptography.hazmat.primitives.asymmetric import dsa
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.keys import decode_public_key, parse_public_key
from kworkspace.cli.client.errors import BadRequest
from tests.authenticators.conftest import KINDS, TOUCHED, HardwareKey, KeyFile, make_key

POINT = b"\x04" + bytes(64)


def line_of(blob: bytes) -> str:
    """A line for whatever blob."""
    algorithm = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    return f"{algorithm} {base64.b64encode(blob).decode()}"


@pytest.mark.parametrize("kind", KINDS)
def test_line_is_read_and_written_again(key_files: dict[str, KeyFile], kind: str) -> None:
    written = key_files[kind].line
    key = parse_public_key(written)
    assert key.line == written.rstrip("\n")
    assert key.comment == "alice@laptop"
    assert key.fingerprint == key_files[kind].fingerprint
    assert decode_public_key(key.blob, "alice@laptop") == key


@pytest.mark.parametrize("kind", ["sk-ed25519", "sk-ecdsa"])
def test_hardware_key_must_have_been_touched(
    hardware_keys: dict[str, HardwareKey], kind: str
) -> None:
    made = hardware_keys[kind]
    key = parse_public_key(made.line)
    assert key.blob == made.blob
    assert key.verify(b"data", made.signature(b"data", TOUCHED))
    assert not key.verify(b"data", made.signature(b"data", 0))
    assert not key.verify(b"other", made.signature(b"data", TOUCHED))


@pytest.mark.parametrize(
    ("algorithm", "counts"),
    [
        ("rsa-sha2-256", True),
        ("rsa-sha2-512", True),
        ("ssh-rsa", False),
        ("ssh-rsa-sha256@ssh.com", False),
    ],
)
def test_rsa_signs_with_sha2_only(algorithm: str, counts: bool) -> None:
    """asyncssh makes and verifies all four; the policy is ours."""
    private = generate_private_key("ssh-rsa", key_size=2048)
    signature = private.sign(b"data", algorithm.encode())
    assert private.convert_to_public().verify(b"data", signature)
    key = decode_public_key(private.public_data)
    assert key.allows(algorithm) is counts
    assert key.verify(b"data", signature) is counts


def dsa_blob() -> bytes:
    """A DSA key, which today's ssh-keygen does not make any more."""
    numbers = dsa.generate_private_key(1024).public_key().public_numbers()
    prime = numbers.parameter_numbers
    each = (prime.p, prime.q, prime.g, numbers.y)
    return String("ssh-dss") + b"".join(MPInt(number) for number in each)


def test_weak_keys_are_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "short", ["-t", "rsa", "-b", "1024"])
    with pytest.raises(BadRequest, match=r"^key 1: an RSA key has 2048 to 16384 bits.* 1024$"):
        parse_public_key(KeyFile(tmp_path / "short").line, "key 1")
    with pytest.raises(BadRequest, match=r"^key 1: DSA keys are too weak"):
        parse_public_key(line_of(dsa_blob()), "key 1")


def test_certificate_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path / "id", KINDS["ed25519"])
    subprocess.run(
        ["ssh-keygen", "-q", "-s", tmp_path / "id", "-I", "x", "-n", "x", tmp_path / "id.pub"],
        check=True,
    )
    with pytest.raises(BadRequest, match="certificate; give the plain public key"):
        parse_public_key((tmp_path / "id-cert.pub").read_text())


def private_key_text(key: KeyFile) -> str:
    """The mistake that would hurt most."""
    return key.path.read_text()


def test_error_never_repeats_what_it_got(key_files: dict[str, KeyFile]) -> None:
    line = key_files["ed25519"].line
    secret = private_key_text(key_files["ed25519"])
    algorithm, encoded, _ = line.split()
    for bad, why in (
        (secret, "control character"),
        (secret.replace("\n", ""), "begins with its type"),
        (line.replace("\n", "\r\n"), "control character"),
        (line + line, "control character"),
        (f'command="x" {line}', "options in front"),
        (f"no-pty,from=10.0.0.0/8 {line}", "options in front"),
        (f"{algorithm} {encoded[:-8]}", "damaged"),
        (f"{algorithm} {encoded}AAAA", "damaged"),
        (f"{algorithm} {encoded[:20]}!{encoded[20:]}", "damaged"),
        (f"{algorithm} {encoded[:30]} {encoded[30:]}", "damaged"),
        (algorithm, "damaged"),
        (encoded, "begins with its type"),
        ("", "begins with its type"),
        (f"ecdsa-sha2-nistp256 {encoded}", "the line says ecdsa-sha2-nistp256"),
        (f"{line.strip()} {'x' * 9000}", "more than 8192 characters"),
    ):
        with pytest.raises(BadRequest, match=f"^users 2: .*{why}") as caught:
            parse_public_key(bad, "users 2")
        message = caught.value.message
        assert "\n" not in message
        assert not any(part in message for part in (encoded[30:50], secret[80:100]))


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        (String("ecdsa-sha2-nistp256") + String("nistp521") + String(POINT), "curve"),
        (String("ecdsa-sha2-nistp256") + String("nistp256") + String(b"\x02" + bytes(32)), "form"),
        (String("ecdsa-sha2-nistp256") + String("nistp256") + String(POINT), "damaged"),
        (String("ssh-ed25519") + String(bytes(31)), "damaged"),
        (String("ssh-rsa") + MPInt(0) + MPInt((1 << 2048) - 1), "damaged"),
        (String("ssh-rsa") + MPInt(65537) + MPInt(-(1 << 2050)), "damaged"),
        (String("ssh-rsa") + MPInt(-65537) + MPInt((1 << 2048) - 1), "damaged"),
        (String("ssh-rsa") + String(b"\0\1\0\1") + MPInt((1 << 2048) - 1), "form"),
        (String("ssh-rsa") + MPInt(65537) + MPInt((1 << 16385) - 1), "16384 bits"),
        (String(b"\xff"), "damaged"),
        (b"", "damaged"),
    ],
)
def test_crafted_blob_is_refused(blob: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        decode_public_key(blob)


@given(st.text())
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_public_key(text)


@given(
    st.sampled_from(
        ["ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp384", "sk-ssh-ed25519@openssh.com"]
    ),
    st.lists(st.binary(max_size=300).map(String), max_size=4).map(b"".join) | st.binary(),
)
def test_any_blob_is_a_key_or_refused(algorithm: str, rest: bytes) -> None:
    try:
        key = decode_public_key(String(algorithm) + rest)
    except BadRequest:
        return
    assert not key.verify(b"data", rest)


@given(st.data())
def test_any_signature_is_false(key_lines: dict[str, str], data: st.DataObject) -> None:
    key = parse_public_key(key_lines[data.draw(st.sampled_from(sorted(key_lines)))])
    name = data.draw(st.sampled_from([key.algorithm, "rsa-sha2-256", "ssh-rsa"]))
    parts = st.lists(st.binary(max_size=80).map(String), max_size=3).map(b"".join)
    signature = String(name) + data.draw(parts | st.binary())
    assert not key.verify(b"data", signature)
