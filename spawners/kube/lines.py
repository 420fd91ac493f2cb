"""Cuts a stream of chunks into lines: watches and logs, whose lines may be megabytes long."""

from collections.abc import Iterator

MOST_BYTES = 16 * 1024 * 1024


class TooLong(Exception):
    """A line that no API server sends."""


class Lines:
    """Collects chunks and gives lines back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that a chunk completes, without their ends.

        Raises:
            TooLong: one is longer than any that is sent.
        """
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            if self._parts:
                self._parts.append(line)
                yield b"".join(self._parts)
                self._parts.clear()
                self._held = 0
            else:
                yield line
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            if self._held > MOST_BYTES:
                raise TooLong

    def rest(self) -> bytes:
        """Return what has no end yet."""
        return b"".join(self._parts)
