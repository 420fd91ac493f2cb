"""The layout of `--help` on narrow terminals, where click's own is 50 columns wide at least."""

import shutil
from collections.abc import Iterable

import click

MAX_COLUMNS = 80
MIN_COLUMNS = 24


class HelpFormatter(click.HelpFormatter):
    """Fits the terminal: long options stand on a line of their own where it is narrow."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        if width is None:
            columns = min(shutil.get_terminal_size().columns, max_width or MAX_COLUMNS)
            width = max(columns - 2, MIN_COLUMNS)
        super().__init__(indent_increment, width, max_width)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a definition list; a third of a narrow terminal's width is for the names."""
        super().write_dl(list(rows), min(col_max, max(self.width * 2 // 5, 12)), col_spacing)
