"""The SSH keys of the person who runs the demo, or a fresh one where they have none.

Public halves only are read, from ~/.ssh and from the agent's list. A key counts when the hub would
accept it and its private half can be had: as a file, or in the agent.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kworkspace.authenticators.keys import PublicKey, parse_public_key
from kworkspace.cli.client.errors import BadRequest

DEFAULT_IDENTITIES = frozenset({"id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa"})
AGENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Keys:
    """What the person comes in with.

    Attributes:
        lines: the public keys, OpenSSH lines.
        identities: files for ssh's IdentityFile, private keys or the public ones of the agent's.
        named: the one key that the command must be told of, None when it finds one by itself.
        fresh: `named` was made for the demo.
    """

    lines: tuple[str, ...]
    identities: tuple[Path, ...]
    named: Path | None = None
    fresh: bool = False


def find_keys(directory: Path, home: Path, name: str) -> Keys:
    """Return the keys of ~/.ssh that can be used, or the demo's own one.

    Args:
        directory: of the demo; its own key, once made, is the one that is used.
        home: whose `.ssh` is read.
        name: for the comment of a fresh key.

    Raises:
        OSError: a key cannot be made or read.
        subprocess.CalledProcessError: ssh-keygen makes none.
    """
    own = directory / "id_ed25519"
    if not own.exists():
        found = _keys_of(home / ".ssh", _agent_blobs())
        if found:
            by_itself = any(
                file.suffix == ".pub" or file.name in DEFAULT_IDENTITIES for _, file in found
            )
            lines, identities = zip(*((key.line, file) for key, file in found), strict=True)
            return Keys(lines, identities, None if by_itself else identities[0])
        command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@demo", "-f", own)
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    line = own.with_suffix(".pub").read_text().strip()
    return Keys((line,), (own,), own, fresh=True)


def _keys_of(folder: Path, agent: Iterable[bytes]) -> list[tuple[PublicKey, Path]]:
    """Return each usable key with the file that ssh is to be told."""
    found = {}
    for file in sorted(folder.glob("*.pub")):
        try:
            key = parse_public_key(file.read_text())
        except (OSError, UnicodeDecodeError, BadRequest):
            continue  # a certificate, a weak key, something else
        private = file.with_suffix("")
        if private.is_file():
            found[key.blob] = (key, private)
        elif key.blob in agent:
            found.setdefault(key.blob, (key, file))
    return list(found.values())


def _agent_blobs() -> set[bytes]:
    program = shutil.which("ssh-add")
    if program is None or not os.environ.get("SSH_AUTH_SOCK"):
        return set()
    try:
        listing = subprocess.run(
            (program, "-L"), capture_output=True, text=True, timeout=AGENT_SECONDS, check=True
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return set()  # no agent, or an empty one
    blobs = set()
    for line in listing.splitlines():
        try:
            blobs.add(parse_public_key(line).blob)
        except BadRequest:
            continue
    return blobs
