"""WebSocket frames (RFC 6455, section 5) for a stream of bytes: made and read, no input or output.

The tunnel's two ends use it. A binary message's payload is handed on piece by piece as it arrives,
as a view of what was received: nothing is put together, so nothing grows. What is put together,
texts and control frames, is bounded. Extensions are never agreed on, so that their bits are errors.
"""

from collections.abc import Iterator
from enum import IntEnum

ROOM = 14
"""Bytes that a head has at most: kept free before a payload, so that both are sent at once."""
MAX_TEXT = 8192
MAX_CONTROL = 125

_NO_MASK = b"\0\0\0\0"


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class FrameError(Exception):
    """What came is no frame that may come here."""


def head(opcode: Opcode, length: int, *, masked: bool) -> bytes:
    """Return the head of a frame that is a whole message.

    A client must mask, so that a page's script cannot choose what a proxy sees (section 10.3). The
    key is zero here: what the tunnel carries is SSH's, encrypted, and no script has chosen it, and
    a payload that stays as it is need not be copied.

    Args:
        opcode: which kind.
        length: of the payload, in bytes.
        masked: whether the sender is the client.
    """
    first, mask = 0x80 | opcode, 0x80 if masked else 0
    if length < 126:
        found = bytes((first, mask | length))
    elif length < 1 << 16:
        found = bytes((first, mask | 126)) + length.to_bytes(2)
    else:
        found = bytes((first, mask | 127)) + length.to_bytes(8)
    return found + _NO_MASK if masked else found


def frame(opcode: Opcode, payload: bytes, *, masked: bool) -> bytes:
    """Return a small frame, head and payload."""
    return head(opcode, len(payload), masked=masked) + payload


class Decoder:
    """Reads what one end sends.

    Args:
        masked: whether that end is the client, and must mask.
    """

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._head = bytearray()
        self._opcode: Opcode | None = None  # of the frame that is being read
        self._is_last = True
        self._left = 0  # bytes of its payload that have not come
        self._key = _NO_MASK
        self._at = 0  # how much of the payload has come
        self._message: Opcode | None = None  # of which the next frames are parts
        self._text = bytearray()
        self._control = bytearray()

    def feed(self, data: memoryview) -> Iterator[tuple[Opcode, memoryview | bytes]]:
        """Yield what is complete: (BINARY, a piece of it), or a whole text or control frame.

        Args:
            data: what was received; the pieces are views of it.

        Raises:
            FrameError: it breaks the rules.
        """
        while data or (self._opcode is not None and not self._left):
            if self._opcode is None:
                data = data[self._take_head(data) :]
                continue
            piece, data = data[: self._left], data[self._left :]
            yield from self._take_payload(piece)

    def _take_head(self, data: memoryview) -> int:
        """Take bytes of a frame's head; return how many."""
        taken = 0
        while True:
            missing = self._head_length() - len(self._head)
            if not missing:
                self._begin_frame()
                return taken
            if taken == len(data):
                return taken
            more = data[taken : taken + missing]
            self._head += more
            taken += len(more)

    def _head_length(self) -> int:
        """Return how long the head is, as far as that is known."""
        if len(self._head) < 2:
            return 2
        length = self._head[1] & 0x7F
        more = 2 if length == 126 else 8 if length == 127 else 0
        return 2 + more + (4 if self._masked else 0)

    def _begin_frame(self) -> None:
        first, second = self._head[:2]
        if first & 0x70:
            raise FrameError("reserved bits are set")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise FrameError(f"unknown opcode {first & 0x0F}") from None
        if bool(second & 0x80) != self._masked:
            raise FrameError("masked by the wrong end")
        length = second & 0x7F
        if length >= 126:
            least = 126 if length == 126 else 1 << 16
            length = int.from_bytes(self._head[2 : 4 if length == 126 else 10])
            if not least <= length < 1 << 63:
                raise FrameError("a length in more bytes than it needs, or too large")
        self._is_last = bool(first & 0x80)
        self._check_order(opcode, length)
        self._opcode, self._left, self._at = opcode, length, 0
        self._key = bytes(self._head[-4:]) if self._masked else _NO_MASK
        self._head.clear()

    def _check_order(self, opcode: Opcode, length: int) -> None:
        """Control frames are whole and small; the parts of a message follow each other."""
        if opcode >= Opcode.CLOSE:
            if not self._is_last or length > MAX_CONTROL:
                raise FrameError("a control frame in parts, or too long")
            return
        if (opcode is Opcode.CONTINUATION) == (self._message is None):
            raise FrameError("a part of no message, or a message in another one")
        if opcode is not Opcode.CONTINUATION:
            self._message = opcode
        if self._message is Opcode.TEXT and len(self._text) + length > MAX_TEXT:
            raise FrameError("a text that is too long")

    def _take_payload(self, piece: memoryview) -> Iterator[tuple[Opcode, memoryview | bytes]]:
        assert self._opcode is not None
        clear = piece if self._key == _NO_MASK else _unmask(piece, self._key, self._at)
        self._left -= len(piece)
        self._at += len(piece)
        ends = not self._left
        if self._opcode >= Opcode.CLOSE:
            self._control += clear
            if ends:
                yield self._opcode, bytes(self._control)
                self._control.clear()
        elif self._message is Opcode.TEXT:
            self._text += clear
            if ends and self._is_last:
                yield Opcode.TEXT, bytes(self._text)
                self._text.clear()
        elif clear:
            yield Opcode.BINARY, clear
        if ends:
            if self._opcode < Opcode.CLOSE and self._is_last:
                self._message = None
            self._opcode = None


def _unmask(piece: memoryview, key: bytes, at: int) -> bytes:
    """Return a payload's piece that begins at some offset of it, unmasked (section 5.3)."""
    turn = at % 4
    mask = (key[turn:] + key[:turn]) * (len(piece) // 4 + 1)
    number = int.from_bytes(piece) ^ int.from_bytes(mask[: len(piece)])
    return number.to_bytes(len(piece))
