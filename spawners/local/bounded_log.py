"""A log that somebody else's output fills: bounded, and harmless to read on a terminal."""

import os
from pathlib import Path

from kworkspace.spawners.local.files import discard, open_regular

MAX_BYTES = 1024 * 1024
_HARMLESS = frozenset((0x09, 0x0A, *range(0x20, 0x7F), *range(0xA0, 0x100)))
_SHOWN = bytes(code if code in _HARMLESS else ord("?") for code in range(256))


class BoundedLog:
    """A file, and the one before it under the same name with `.1`.

    Args:
        path: of the file, in a directory of ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, chunk: bytes) -> None:
        """Append; a full disk loses it."""
        try:
            if os.fstat(self._fd).st_size >= MAX_BYTES:
                self._turn()
            os.write(self._fd, chunk.translate(_SHOWN))
        except OSError:
            return

    def _turn(self) -> None:
        earlier = self._path.with_suffix(f"{self._path.suffix}.1")
        discard(earlier)
        self._path.replace(earlier)
        os.close(self._fd)
        self._fd = open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
