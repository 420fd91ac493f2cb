"""What reaches a terminal or a log is harmless."""

import logging

import pytest

from kworkspace.gateway.texts import PlainFormatter, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢字", "plain ä 漢字"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("two\r\nlines", "two\\r\\nlines"),
        ("\x9b31m", "\\x9b31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\udcff", "\\udcff"),
        ("line\u2028line", "line\\u2028line"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    """Escapes, line ends, eight-bit controls and what reorders text."""
    assert plain(text) == shown
    shown.encode()


def test_long_text_is_cut() -> None:
    """A name cannot flood a log."""
    assert len(plain("x" * 100_000)) < 1100


def test_log_lines_are_harmless() -> None:
    """Also when what is logged came as an argument."""
    record = logging.LogRecord("n", logging.INFO, "f", 1, "Login of %s", ("\x1b[2J\n",), None)
    assert PlainFormatter("%(message)s").format(record) == "Login of \\x1b[2J\\n"
