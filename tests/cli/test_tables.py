"""Columns and cards: aligned whatever the script, and within the terminal's width."""

import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kworkspace.cli import tables
from kworkspace.cli.tables import Cell, paragraph, table

HEADS = ("NAME", "STATE", "SINCE")
NAMES = ["gpu", "机器学习", "e\u0301te\u0301", "한국어", "x" * 63]


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the terminal's width."""
    return lambda columns: monkeypatch.setattr(tables, "width", lambda: columns)


def test_columns_align_in_every_script(columns: Callable[[int], None]) -> None:
    columns(120)
    lines = table(HEADS, [[Cell(name), Cell("ready"), Cell("2 h ago")] for name in NAMES])
    starts = {cell_len(line[: line.index("ready")]) for line in lines[1:]}
    assert starts == {65}
    assert cell_len(lines[0][: lines[0].index("STATE")]) == 65


def test_cards_where_columns_do_not_fit(columns: Callable[[int], None]) -> None:
    columns(20)
    rows = [["x" * 30, "ready", "2 h ago"], ["y", "stopped", "-"]]
    assert table(HEADS, [[Cell(text) for text in row] for row in rows]) == [
        "x" * 20,
        "x" * 10,
        "  state  ready",
        "  since  2 h ago",
        "",
        "y",
        "  state  stopped",
    ]


def test_a_table_of_nothing(columns: Callable[[int], None]) -> None:
    columns(80)
    assert table(HEADS, []) == ["NAME  STATE  SINCE"]


@given(st.text(), st.integers(min_value=12, max_value=100))
def test_no_line_is_longer_than_the_terminal(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "width", lambda: size)
        lines = paragraph(Cell(text), lead=Cell("- "), indent=2)
    assert all(line.isprintable() for line in lines)
    assert max(map(cell_len, lines)) <= size
    # Nothing is lost: what is shown is the text, but for where it is broken.
    squeezed = re.sub(r"\s", "", "".join(line[2:] for line in lines))
    assert squeezed == re.sub(r"\s", "", Cell(text).plain)


def test_words_stay_whole(columns: Callable[[int], None]) -> None:
    columns(14)
    lead = Cell("fix: ")
    assert paragraph(Cell("one two three four"), lead=lead, indent=5) == [
        "fix: one two",
        "     three",
        "     four",
    ]


def test_no_paint_and_no_break_in_a_pipe() -> None:
    assert not sys.stdout.isatty()
    assert paragraph(Cell("word " * 100, "red", bold=True)) == [("word " * 100).strip()]
