"""The command's own files, in `Settings.state_dir`: tokens, known hosts, public keys of the agent.

Each kind has a folder, 0700, and every file is 0600, written whole or not at all. Nothing here is
needed: each file is made again when it is missing.
"""

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit


def hub_alias(url: str) -> str:
    """Return one name for each hub's URL, good in file names, known_hosts and ssh_config."""
    host = re.sub(r"[^a-z0-9._-]", "-", urlsplit(url).hostname or "hub")
    return f"kworkspace-{host}-{sha256(url.encode()).hexdigest()[:8]}"


def private_folder(folder: Path) -> Path:
    """Make a folder of ours, 0700, if it is not there, and return it.

    Raises:
        OSError: it cannot be made.
    """
    # The state folder itself may be the person's choice: it is made, but never changed.
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file of a folder of ours, 0600, whole or not at all.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder = private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name[:32]}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
