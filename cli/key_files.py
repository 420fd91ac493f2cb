"""Reads a public key that a person names, and never lets a private one any further.

Nothing of a file's content gets into an error: a slip of the pen may have named any file.
"""

import sys
from pathlib import Path

from kworkspace.cli.exits import UsageFault
from kworkspace.cli.terminal import say

MAX_BYTES = 65536
_PRIVATE = (b"PRIVATE KEY", b"PuTTY-User-Key-File", b"SSH PRIVATE KEY FILE FORMAT")
_SSH2 = b"---- BEGIN SSH2 PUBLIC KEY"


def read_public_key(name: str) -> str:
    """Return the one line of a public key.

    Args:
        name: a file, or "-" for stdin.

    Raises:
        UsageFault: it is a private key, or not one public key; the message holds nothing of it.
        OSError: it cannot be read.
    """
    path = Path(name)
    if name == "-":
        if sys.stdin.isatty():
            say("Paste the public key, then Enter and Ctrl-D.")
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    elif not path.is_file():
        raise UsageFault(f"there is no file {path}")
    else:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    what = "what came on stdin" if name == "-" else str(path)
    if any(mark in content for mark in _PRIVATE):
        raise UsageFault(f"{what} is a private key, which stays with you: {_public_beside(path)}")
    if _SSH2 in content:
        raise UsageFault(f"{what} is not OpenSSH's format: ssh-keygen -i -f FILE converts it")
    return _one_line(content, what)


def _one_line(content: bytes, what: str) -> str:
    if len(content) > MAX_BYTES:
        raise UsageFault(f"{what} is too large to be a public key")
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
    except UnicodeDecodeError:
        raise UsageFault(f"{what} is no text, so no public key") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
        count = f"{len(keys)} lines" if keys else "nothing"
        raise UsageFault(f"{what} holds {count} and not one public key: add one at a time")
    return keys[0]


def _public_beside(path: Path) -> str:
    public = path.with_name(f"{path.name}.pub")
    if path.name != "-" and public.is_file():
        return f"add {public}"
    return "add its public half, which ssh-keygen -y -f FILE shows"
