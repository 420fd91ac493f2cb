"""What somebody types at the gateway itself, made into lines; pure, for any bytes in any chunks.

On a terminal it edits as little as is needed: backspace, Ctrl-U, Ctrl-D at the line's beginning,
Ctrl-C. Escape sequences (arrows and the like) and all that is not printable ASCII are left out, so
that what is echoed is harmless. Without a terminal a line is what ends with a newline.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

MAX_LINE = 256
"""Characters of a line; what is typed beyond them is left out."""

_BACKSPACES = frozenset(b"\x7f\x08")
_RETURN, _NEWLINE, _ESCAPE = 0x0D, 0x0A, 0x1B
_CTRL_C, _CTRL_D, _CTRL_U = 0x03, 0x04, 0x15
_PRINTABLE = range(0x20, 0x7F)
_RUB_OUT = "\b \b"


class Key(Enum):
    """What is typed and is no line."""

    INTERRUPT = "Ctrl-C"
    END = "end of input"


@dataclass(frozen=True, slots=True)
class Echo:
    """What the terminal is to show."""

    text: str


class LineInput:
    """One line at a time.

    Args:
        terminal: whether it is typed at one.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._line = ""
        self._after_return = False
        self._escape = ""

    def feed(self, typed: bytes) -> Iterator[str | Key | Echo]:
        """Yield lines, keys and echoes, in their order; to be read to the end."""
        for byte in typed:
            yield from self._take(byte)

    def end(self) -> Iterator[str | Key | Echo]:
        """The input has ended: yield what is left of it."""
        if self._line and not self._terminal:
            yield self._finished()
        yield Key.END

    def _take(self, byte: int) -> Iterator[str | Key | Echo]:
        after_return, self._after_return = self._after_return, byte == _RETURN
        if self._escape or (self._terminal and byte == _ESCAPE):
            self._skip(byte)
        elif byte == _NEWLINE and after_return:
            return  # the second half of a line's end
        elif byte in {_RETURN, _NEWLINE}:
            yield Echo("\r\n")
            yield self._finished()
        elif byte in _PRINTABLE:
            if len(self._line) < MAX_LINE:
                self._line += chr(byte)
                yield Echo(chr(byte))
        elif self._terminal:
            yield from self._edit(byte)

    def _edit(self, byte: int) -> Iterator[str | Key | Echo]:
        if byte in _BACKSPACES and self._line:
            self._line = self._line[:-1]
            yield Echo(_RUB_OUT)
        elif byte == _CTRL_U:
            yield Echo(_RUB_OUT * len(self._line))
            self._line = ""
        elif byte == _CTRL_C:
            self._line = ""
            yield Key.INTERRUPT
        elif byte == _CTRL_D and not self._line:
            yield Key.END

    def _skip(self, byte: int) -> None:
        """Leave out an escape sequence (ECMA-48, section 5.4): `ESC [ ... letter`, or `ESC x`."""
        char = chr(byte)
        if not self._escape:
            self._escape = char
        elif self._escape == "\x1b" and char in "[O":
            self._escape += char
        elif len(self._escape) == 1 or "@" <= char <= "~" or byte not in _PRINTABLE:
            self._escape = ""

    def _finished(self) -> str:
        line, self._line = self._line, ""
        return line
