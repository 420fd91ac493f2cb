"""Lays out pictures for this command's stdout: `client.layout` with its width and its colours."""

from collections.abc import Sequence

from kworkspace.cli.client import layout
from kworkspace.cli.client.layout import NOTHING, Cell, Screen
from kworkspace.cli.paint import paint, width

__all__ = ["NOTHING", "Cell", "paragraph", "screen", "table"]


def screen() -> Screen:
    """Return what stdout is."""
    return Screen(width(), paint)


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the lines of a table."""
    return layout.table(heads, rows, screen())


def paragraph(cell: Cell, *, lead: Cell | None = None, indent: int = 0) -> list[str]:
    """Return a text broken to the terminal's width."""
    return layout.paragraph(cell, screen(), lead=lead, indent=indent)
