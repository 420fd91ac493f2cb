"""The gateway's own key."""

from pathlib import Path

import asyncssh
import pytest

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.host_key import load_or_make, public_line, sign_door


def test_made_once_and_kept(tmp_path: Path) -> None:
    """Readable by its owner only, the same ever after, and no draft is left."""
    path = tmp_path / "new" / "key"
    key = load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_line(load_or_make(path)) == public_line(key)
    assert public_line(key).startswith("ssh-ed25519 ")
    assert [child.name for child in path.parent.iterdir()] == ["key"]


@pytest.mark.parametrize("content", [b"", b"not a key", b"\xff\xfe"])
def test_unusable_key_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    """People have pinned it: somebody must look."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KworkspaceError, match="cannot be used"):
        load_or_make(path)
    assert path.read_bytes() == content


def test_directory_in_its_place(tmp_path: Path) -> None:
    """One line that says what and why."""
    with pytest.raises(KworkspaceError, match="Is a directory"):
        load_or_make(tmp_path)


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_door_signature(algorithm: str) -> None:
    """Made with whatever key an admin has put there, never with SHA-1; good for one session."""
    key = asyncssh.generate_private_key(algorithm)
    signature = sign_door(key, b"s" * 32)
    assert b"ssh-rsa" not in signature
    public = key.convert_to_public()
    assert public.verify(door_text(b"s" * 32), signature)
    assert not public.verify(door_text(b"t" * 32), signature)
