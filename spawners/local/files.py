"""Files in a place where a workspace can write: small regular ones, and nothing else.

A workspace may put a FIFO, a link, a directory or a gigabyte where a file of ours was. Nothing of
that may stop the hub, which looks after all the others: it counts as absent, and makes room for a
new file. Imports nothing that is slow to import.
"""

import os
import shutil
import stat
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

MAX_BYTES = 65536


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file, without waiting (a FIFO) and without following a link.

    Args:
        path: of the file.
        flags: of open(2).

    Raises:
        FileNotFoundError: there is none, or something else is there.
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if _is_regular(path):
            raise
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(2, "Not a regular file", str(path))
    return fd


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def read_small(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """Return the content of a file, or None: there is none, it is too large, or no file.

    Args:
        path: of the file.
        limit: how many bytes it may have.
    """
    try:
        with _reader(path) as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    return content if len(content) <= limit else None


def read_tail(path: Path, size: int) -> bytes:
    """Return the last bytes of a file, b"" when there is none."""
    try:
        with _reader(path) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
            return file.read(size)
    except OSError:
        return b""


def _reader(path: Path) -> BinaryIO:
    return open(open_regular(path), "rb")


def discard(path: Path) -> None:
    """Remove whatever is there; a link is removed, not what it leads to.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # unlink(2) says the one, POSIX the other
        if path.is_symlink() or not path.is_dir():
            raise
        shutil.rmtree(path)


def write_atomically(path: Path, content: str, mode: int = 0o600) -> None:
    """Replace a file: a reader sees the old content or the new one, never a part.

    Raises:
        OSError: it cannot be written.
    """
    # A name of its own: two hubs, or two threads of one, may write at once.
    fd, new = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123  a descriptor
            file.write(content)
            os.fchmod(fd, mode)
        try:
            Path(new).replace(path)
        except IsADirectoryError:
            discard(path)
            Path(new).replace(path)
    finally:
        Path(new).unlink(missing_ok=True)
