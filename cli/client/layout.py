"""Lays out what is more than a sentence: columns, or cards where columns do not fit.

Text is measured in the cells of a terminal, so that wide and combining characters align. What
comes in is cleaned here: a name or a comment may hold any control character. No colour decides
anything; `rich.cells` is all that is used of rich, and what has pictures alone loads it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.cells import cell_len, chop_cells

from kworkspace.cli.client.words import one_line

GAP = 2
NOTHING = "-"
ENDLESS = 10**6


class Paint(Protocol):
    """Puts a text in a colour."""

    def __call__(
        self, text: str, colour: str = "", *, bold: bool = False, dim: bool = False
    ) -> str:
        """Return the text in one of ANSI's eight colours."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where it is shown.

    Attributes:
        width: in cells; ENDLESS where no line is to be broken.
        paint: its colours; None: it has none.
    """

    width: int = ENDLESS
    paint: Paint | None = None

    def painted(self, text: str, colour: str = "", *, bold: bool = False, dim: bool = False) -> str:
        """Return the text as the screen shows it."""
        return text if self.paint is None else self.paint(text, colour, bold=bold, dim=dim)


PLAIN = Screen()


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and how it is painted.

    Attributes:
        text: what it says; it is cleaned.
        colour: one of ANSI's names, or "".
        bold: stands out.
        dim: stands back.
        symbol: goes before the text, from `paint.symbol`.
    """

    text: str
    colour: str = ""
    bold: bool = False
    dim: bool = False
    symbol: str = ""

    @property
    def plain(self) -> str:
        """What is shown, without paint."""
        return self.symbol + one_line(self.text)

    def painted(self, text: str, screen: Screen) -> str:
        """A piece of it, with paint."""
        return screen.painted(text, self.colour, bold=self.bold, dim=self.dim)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], screen: Screen = PLAIN
) -> list[str]:
    """Return the lines of a table; a card for each row where the terminal is too narrow.

    Args:
        heads: the columns' names.
        rows: the cells; the first one names the row. A card leaves out what is NOTHING.
        screen: where it is shown.
    """
    widths = [
        max(cell_len(head), *(cell_len(row[i].plain) for row in rows)) if rows else cell_len(head)
        for i, head in enumerate(heads)
    ]
    if sum(widths) + GAP * (len(heads) - 1) > screen.width:
        return [line for row in rows for line in ("", *_card(heads, row, screen))][1:]
    lines = [_line([screen.painted(head, dim=True) for head in heads], list(heads), widths)]
    for row in rows:
        plain = [cell.plain for cell in row]
        lines.append(_line([cell.painted(cell.plain, screen) for cell in row], plain, widths))
    return lines


def _card(heads: Sequence[str], row: Sequence[Cell], screen: Screen) -> Iterator[str]:
    yield from paragraph(row[0], screen)
    column = max(map(cell_len, heads[1:])) + GAP
    for head, cell in zip(heads[1:], row[1:], strict=True):
        if cell.text == NOTHING:
            continue
        name = head.lower() + " " * (column - cell_len(head))
        yield from paragraph(cell, screen, lead=Cell(f"  {name}", dim=True), indent=2 + column)


def paragraph(
    cell: Cell, screen: Screen = PLAIN, *, lead: Cell | None = None, indent: int = 0
) -> list[str]:
    """Return a text broken to the terminal's width.

    Args:
        cell: the text.
        screen: where it is shown.
        lead: stands before the first line and fills `indent` cells.
        indent: cells before each other line.
    """
    room = max(screen.width - indent, 8)
    lines = [cell.painted(line, screen) for line in _wrapped(cell.plain, room)]
    first = " " * indent if lead is None else lead.painted(lead.text, screen)
    return [f"{first if i == 0 else ' ' * indent}{line}".rstrip() for i, line in enumerate(lines)]


def _line(painted: Sequence[str], plain: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell + " " * (size - cell_len(text))
        for cell, text, size in zip(painted, plain, widths, strict=True)
    )
    return (" " * GAP).join(padded).rstrip()


def _wrapped(text: str, room: int) -> list[str]:
    """Break between words; a word longer than a line is broken wherever the line ends."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= room:
            lines[-1] = joined
            continue
        pieces = chop_cells(word, room) or [""]
        lines += pieces if lines[-1] else []
        if not lines[0]:
            lines = pieces
    return lines
