"""Which SSH keys a person may sign in with, in the order in which ssh would try them.

The agent's keys first, then the default identities of ~/.ssh (ssh(1), -i); a certificate before
its key. A key of the agent has no file, so its public half is kept in the state folder: ssh-keygen
and ssh find the private half in the agent by it. Nothing here reads a private key.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from kworkspace.cli.programs import program
from kworkspace.cli.state import write_private

DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_ed25519_sk", "id_ecdsa_sk", "id_rsa")
AGENT_SECONDS = 10.0
CERTIFICATE = "-cert.pub"


@dataclass(frozen=True, slots=True)
class Key:
    """A key to try.

    Attributes:
        path: what `ssh-keygen -Y sign -f` takes; `identity` makes of it what `ssh -i` takes.
        label: how the person knows it.
    """

    path: Path
    label: str


def named_key(path: Path) -> Key:
    """Return the key of a setting: a private key, or a `.pub` whose private half is in the agent.

    For a `.pub` or certificate beside its private key it is the private key, which ssh-keygen and
    ssh look for in the agent first as well.
    """
    private = path.with_suffix("") if path.suffix == ".pub" else path
    return Key(private if private.is_file() else identity(path), _short(path))


def with_certificate(key: Key) -> Iterator[Key]:
    """Yield the certificate that lies beside a key, if there is one, and the key."""
    certificate = key.path.with_name(f"{key.path.name.removesuffix('.pub')}{CERTIFICATE}")
    if certificate.is_file():
        yield Key(certificate, _short(certificate))
    yield key


def identity(path: Path) -> Path:
    """Return what `ssh -i` takes for a key's path.

    For a certificate's file it is the private key, beside which ssh finds the certificate; or the
    certificate, when its key is in the agent alone.
    """
    private = path.with_name(path.name.removesuffix(CERTIFICATE))
    return private if private.is_file() else path


def default_keys(state_dir: Path) -> Iterator[Key]:
    """Yield the agent's keys and then the default identities that the agent does not have.

    Args:
        state_dir: where the public halves of the agent's keys are kept.
    """
    known: set[str] = set()
    for kind, blob, comment in _agent_keys():
        known.add(blob)
        path = state_dir / "keys" / f"{sha256(blob.encode()).hexdigest()[:32]}.pub"
        if not path.exists():
            write_private(path, f"{kind} {blob} {comment}\n".encode())
        yield Key(path, f"{comment or kind} (agent)")
    for path in default_files():
        for key in with_certificate(Key(path, _short(path))):
            if _public_blob(key.path) not in known:
                yield key


def default_files() -> list[Path]:
    """Return the default identities of ~/.ssh that are there."""
    folder = Path.home() / ".ssh"
    return [path for name in DEFAULT_IDENTITIES if (path := folder / name).is_file()]


def fingerprint(key: Path | str) -> str:
    """Return a key's fingerprint, "" if it has none.

    Args:
        key: the file of either half, or the line of a public key.
    """
    source = str(key) if isinstance(key, Path) else "-"
    try:
        listing = subprocess.run(
            (program("ssh-keygen"), "-l", "-E", "sha256", "-f", source),
            input="" if isinstance(key, Path) else f"{key}\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=AGENT_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    fields = listing.split()
    return fields[1] if len(fields) > 1 else ""


def _agent_keys() -> list[tuple[str, str, str]]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    try:
        listing = subprocess.run(
            (program("ssh-add"), "-L"),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=AGENT_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []  # no agent, or an empty one: the files remain
    lines = (line.split(" ", 2) for line in listing.splitlines())
    keys = [(line[0], line[1], line[2] if line[2:] else "") for line in lines if len(line) >= 2]
    return sorted(keys, key=lambda key: "-cert-" not in key[0])


def _public_blob(key: Path) -> str:
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        fields = public.read_text(errors="replace").split()
    except OSError:
        return ""
    return fields[1] if len(fields) > 1 else ""


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
