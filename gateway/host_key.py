"""The gateway's own host key: made once, kept in a file that only its owner can read.

People pin it; so it is never replaced by itself, not even when the file cannot be read.
"""

import os
from pathlib import Path

import asyncssh

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.ssh.algorithms import modern_algorithms

_ALGORITHMS = frozenset(modern_algorithms()["signature_algs"])


def load_or_make(path: Path) -> asyncssh.SSHKey:
    """Return the host key, an ed25519 key made now if there is no such file.

    Raises:
        KworkspaceError: it can be neither read nor made; one line says why and what to do.
    """
    try:
        if path.exists():
            return asyncssh.read_private_key(path)
        return _make(path)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise KworkspaceError(
            f"The host key {path} cannot be used: {reason}. Give the gateway's account a directory"
            " that it can write, or another file with --host-key."
        ) from error


def _make(path: Path) -> asyncssh.SSHKey:
    """Write a new key beside its place and link it there: never half a key, never two."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="kworkspace gateway")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.export_private_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return asyncssh.read_private_key(path)
    finally:
        draft.unlink(missing_ok=True)
    return key


def public_line(key: asyncssh.SSHKey) -> str:
    """Return algorithm and key as OpenSSH writes them, without the comment."""
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


def sign_door(key: asyncssh.SSHKey, session_id: bytes) -> bytes:
    """Return an SSH signature blob that says: this connection ended at this host key's door.

    Args:
        key: the gateway's host key.
        session_id: of the user's SSH connection (RFC 4253, section 7.2).
    """
    algorithm = next(name for name in key.sig_algorithms if name.decode("ascii") in _ALGORITHMS)
    return key.sign(door_text(session_id), algorithm)
