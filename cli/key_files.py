"""Reads a public key that a person names, and never lets a private one any further."""

import sys
from pathlib import Path

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.public_key import MAX_BYTES, check_public_key
from kworkspace.cli.terminal import say


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
        return check_public_key(sys.stdin.buffer.read(MAX_BYTES + 1), "what came on stdin")
    if not path.is_file():
        raise UsageFault(f"there is no file {path}")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    public = path.with_name(f"{path.name}.pub")
    if public.is_file():
        return check_public_key(content, str(path), f"add {public}")
    return check_public_key(content, str(path))
