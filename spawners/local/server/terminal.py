"""Pseudo-terminals: size (RFC 4254, section 6.7) and modes (section 8, as sshd's ttymodes.c).

What termios cannot say on this system is left out, as sshd does.
"""

import fcntl
import os
import struct
import termios
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_CHARACTERS = {
    1: "VINTR", 2: "VQUIT", 3: "VERASE", 4: "VKILL", 5: "VEOF", 6: "VEOL", 7: "VEOL2",
    8: "VSTART", 9: "VSTOP", 10: "VSUSP", 12: "VREPRINT", 13: "VWERASE", 14: "VLNEXT",
    16: "VSWTC", 18: "VDISCARD",
}  # fmt: skip
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)
_FLAGS = {
    30: (_IFLAG, "IGNPAR"), 31: (_IFLAG, "PARMRK"), 32: (_IFLAG, "INPCK"), 33: (_IFLAG, "ISTRIP"),
    34: (_IFLAG, "INLCR"), 35: (_IFLAG, "IGNCR"), 36: (_IFLAG, "ICRNL"), 37: (_IFLAG, "IUCLC"),
    38: (_IFLAG, "IXON"), 39: (_IFLAG, "IXANY"), 40: (_IFLAG, "IXOFF"), 41: (_IFLAG, "IMAXBEL"),
    42: (_IFLAG, "IUTF8"),
    50: (_LFLAG, "ISIG"), 51: (_LFLAG, "ICANON"), 52: (_LFLAG, "XCASE"), 53: (_LFLAG, "ECHO"),
    54: (_LFLAG, "ECHOE"), 55: (_LFLAG, "ECHOK"), 56: (_LFLAG, "ECHONL"), 57: (_LFLAG, "NOFLSH"),
    58: (_LFLAG, "TOSTOP"), 59: (_LFLAG, "IEXTEN"), 60: (_LFLAG, "ECHOCTL"), 61: (_LFLAG, "ECHOKE"),
    62: (_LFLAG, "PENDIN"),
    70: (_OFLAG, "OPOST"), 71: (_OFLAG, "OLCUC"), 72: (_OFLAG, "ONLCR"), 73: (_OFLAG, "OCRNL"),
    74: (_OFLAG, "ONOCR"), 75: (_OFLAG, "ONLRET"),
    90: (_CFLAG, "CS7"), 91: (_CFLAG, "CS8"), 92: (_CFLAG, "PARENB"), 93: (_CFLAG, "PARODD"),
}  # fmt: skip
_SPEEDS = {128: _ISPEED, 129: _OSPEED}
_DISABLED = 255
_IUTF8 = 0o40000  # termios has the name from Python 3.14 on; Linux has had the bit since 2.6.4


@dataclass(frozen=True, slots=True)
class Size:
    """A window, in characters and in pixels; 0 is unknown."""

    columns: int
    rows: int
    width: int
    height: int


@dataclass(slots=True)
class Terminal:
    """An open pseudo-terminal.

    Attributes:
        master: our end, non-blocking.
        slave: the session's end, or -1 once that has it alone.
        name: the device.
        type: the TERM of the client.
    """

    master: int
    slave: int
    name: str
    type: str

    def resize(self, size: Size) -> None:
        """Set the window size; the kernel sends SIGWINCH to the foreground."""
        values = (size.rows, size.columns, size.width, size.height)
        packed = struct.pack("HHHH", *(min(value, 0xFFFF) for value in values))
        with suppress(OSError):
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, packed)

    def close(self) -> None:
        """Close our end, which hangs up what runs there unless others hold it, and the other."""
        self.close_slave()
        os.close(self.master)

    def close_slave(self) -> None:
        """Leave the session's end to the session: its last close is our end of file."""
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1


def open_terminal(type: str, size: Size, modes: Mapping[int, int]) -> Terminal:
    """Open a pseudo-terminal as a client wants it.

    Args:
        type: its TERM.
        size: its window.
        modes: opcode to value (RFC 4254, section 8).

    Raises:
        OSError: there are none left.
    """
    master, slave = os.openpty()
    os.set_blocking(master, False)
    terminal = Terminal(master, slave, os.ttyname(slave), type)
    terminal.resize(size)
    with suppress(termios.error):
        termios.tcsetattr(slave, termios.TCSANOW, _apply(termios.tcgetattr(slave), modes))  # type: ignore[arg-type]
    return terminal


def _apply(attributes: list[object], modes: Mapping[int, int]) -> list[object]:
    changed = list(attributes)
    characters = changed[_CC]
    assert isinstance(characters, list)
    for opcode, value in modes.items():
        if opcode in _CHARACTERS:
            index = getattr(termios, _CHARACTERS[opcode], None)
            if index is not None:
                # On Linux the disabled character, _POSIX_VDISABLE, is 0.
                characters[index] = bytes([0 if value == _DISABLED else value & 0xFF])
        elif opcode in _FLAGS:
            field, name = _FLAGS[opcode]
            _switch(changed, field, _bit(name), bool(value))
        elif opcode in _SPEEDS and (speed := getattr(termios, f"B{value}", None)) is not None:
            changed[_SPEEDS[opcode]] = speed
    return changed


def _bit(name: str) -> int:
    return _IUTF8 if name == "IUTF8" else int(getattr(termios, name, 0))


def _switch(attributes: list[object], field: int, bit: int, on: bool) -> None:
    flags = attributes[field]
    assert isinstance(flags, int)
    # CS7 and CS8 are values of one two-bit field, not bits of their own; CS7 off says nothing.
    if field == _CFLAG and bit in {termios.CS7, termios.CS8}:
        attributes[field] = flags & ~termios.CSIZE | bit if on else flags
    else:
        attributes[field] = flags | bit if on else flags & ~bit
