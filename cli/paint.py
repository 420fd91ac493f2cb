"""Colour, symbols and width of stdout, as far as it is a terminal.

No colour with NO_COLOR (no-color.org) or on a terminal that has none. Colour and symbols only ever
repeat what a word says: nothing is lost without them, and a pipe gets neither.
"""

import os
import shutil
import sys
from typing import TextIO

import click

ENDLESS = 10**6


def paint(
    text: str, colour: str = "", *, bold: bool = False, dim: bool = False, err: bool = False
) -> str:
    """Return the text in one of ANSI's eight colours, which the person's theme chooses."""
    if not _has_colour(sys.stderr if err else sys.stdout):
        return text
    return click.style(text, fg=colour or None, bold=bold or None, dim=dim or None)


def symbol(char: str) -> str:
    """Return a symbol and a space where stdout is a terminal that can show it, else ""."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return f"{char} " if sys.stdout.isatty() and "utf" in encoding.lower() else ""


def width() -> int:
    """Return the columns of the terminal; no line is broken where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else ENDLESS


def _has_colour(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return not plain and stream.isatty()
