"""Lines of what is typed: any bytes, in any chunks, and nothing that a terminal would obey."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.gateway.line_input import MAX_LINE, Echo, Key, LineInput


def typed(*chunks: bytes, terminal: bool = True, end: bool = False) -> list[str | Key]:
    """Return the lines and keys of some input."""
    lines = LineInput(terminal=terminal)
    events = [event for chunk in chunks for event in lines.feed(chunk)]
    events += lines.end() if end else ()
    return [event for event in events if not isinstance(event, Echo)]


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (b"yes\r", ["yes"]),
        (b"yes\r\nno\n\n", ["yes", "no", ""]),
        (b"yex\x7fs\r", ["yes"]),
        (b"yex\x08s\r", ["yes"]),
        (b"\x7f\x7fyes\r", ["yes"]),
        (b"nonsense\x15yes\r", ["yes"]),
        (b"y\x1b[Des\x1bOA\x1b[1;5C\x1bb\r", ["yes"]),
        (b"no\x03yes\r", [Key.INTERRUPT, "yes"]),
        (b"\x04", [Key.END]),
        (b"y\x04es\r", ["yes"]),
        ("yés\u202e\r".encode(), ["ys"]),
        (b"x" * 1000 + b"\r", ["x" * MAX_LINE]),
    ],
)
def test_editing_at_a_terminal(keys: bytes, lines: list[str | Key]) -> None:
    assert typed(keys) == lines
    assert typed(*(bytes([key]) for key in keys)) == lines


def test_without_a_terminal_nothing_is_edited() -> None:
    assert typed(b"ye\x03\x7fs\nrest", terminal=False, end=True) == ["yes", "rest", Key.END]
    assert typed(b"rest", end=True) == [Key.END]


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_any_bytes_in_any_chunks(chunks: list[bytes], terminal: bool) -> None:
    def shown(pieces: Iterable[bytes]) -> list[str | Key | Echo]:
        lines = LineInput(terminal=terminal)
        return [event for piece in pieces for event in lines.feed(piece)] + list(lines.end())

    events = shown(chunks)
    assert events == shown([b"".join(chunks)])
    assert events[-1] is Key.END
    for event in events:
        if isinstance(event, str):
            assert event.isascii()
            assert event.isprintable()
            assert len(event) <= MAX_LINE
        elif isinstance(event, Echo):
            assert "\x1b" not in event.text
