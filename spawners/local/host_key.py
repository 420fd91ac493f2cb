"""A workspace's SSH host key: made before its first start, the same over restarts.

The hub pins it, and signs it at each start and while it runs; the workspace's own server only reads
both (`server.host_certificate`).
"""

from collections.abc import Callable

import asyncssh

from kworkspace.spawners.local.files import read_small, write_atomically
from kworkspace.spawners.local.state import Paths


def ensure_host_key(paths: Paths) -> str:
    """Return the public half as an OpenSSH line; the key is made when there is none.

    Raises:
        OSError: it cannot be written.
    """
    try:
        key = asyncssh.import_private_key(read_small(paths.host_key) or b"")
    except asyncssh.KeyImportError:
        key = asyncssh.generate_private_key("ssh-ed25519")
        write_atomically(paths.host_key, key.export_private_key().decode())
    return key.export_public_key().decode().strip()


def write_certificate(paths: Paths, public_key: str, certify: Callable[[str], str] | None) -> None:
    """Write the hub's certificate for the host key, where the server looks; or that there is none.

    Raises:
        OSError: it cannot be written.
    """
    text = "" if certify is None else certify(public_key)
    write_atomically(paths.host_certificate, f"{text}\n", 0o644 if paths.sealed else 0o600)
