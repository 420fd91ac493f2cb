"""The parser of signature files: what ssh-keygen writes it reads, all else is a ValueError."""

import pytest
from asyncssh.packet import String, UInt32
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.keys import parse_public_key
from kworkspace.authenticators.sshsig import MAX_ARMOR_LENGTH, parse_signature
from tests.authenticators.conftest import KINDS, TEXT, KeyFile, armor, file_signature


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_reads_what_ssh_keygen_writes(
    key_files: dict[str, KeyFile], kind: str, hash_name: str
) -> None:
    parsed = parse_signature(key_files[kind].sign(namespace="any", hash_name=hash_name))
    key = parse_public_key(key_files[kind].line)
    assert (parsed.public_key, parsed.namespace) == (key.blob, b"any")
    assert (parsed.reserved, parsed.hash_name) == (b"", hash_name.encode())
    assert key.verify(parsed.signed(TEXT), parsed.signature)
    assert not key.verify(parsed.signed(TEXT + b"x"), parsed.signature)


def test_white_space_does_not_matter(key_files: dict[str, KeyFile]) -> None:
    signature = key_files["ed25519"].sign()
    pasted = "\n  " + signature.replace("\n", "\r\n  ") + "\n"
    assert parse_signature(pasted) == parse_signature(signature)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        armor(b""),
        armor(b"SSHSIG"),
        armor(b"XSHSIG" + UInt32(1) + String("") * 5),
        armor(b"SSHSIG" + UInt32(1) + UInt32(0xFFFFFFFF)),
        file_signature(b"key", lambda _: b"signature", version=2),
        file_signature(b"key", lambda _: b"signature", hash_name="sha1"),
        file_signature(b"key", lambda _: b"signature", end=b"\0"),
        file_signature(b"key", lambda _: b"signature").replace("SSH SIGNATURE", "PGP SIGNATURE"),
        file_signature(b"key", lambda _: b"signature").replace("U", "!", 1),
        file_signature(b"key", lambda _: b"signature").partition("-----END")[0],
        armor(b"SSHSIG" + bytes(MAX_ARMOR_LENGTH)),
    ],
)
def test_anything_else_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_signature(bad)


@given(st.text() | st.binary().map(armor) | st.binary().map(lambda rest: armor(b"SSHSIG" + rest)))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_signature(text)
