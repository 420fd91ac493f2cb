"""What reaches the person's terminal: text of one line, and the line that moves while they wait.

Progress and warnings go to stderr, results to stdout. On a terminal progress is one live line
(drawn by `live_line`, loaded when it is first needed), elsewhere one line for each new message.
"""

import os
import sys
from typing import TYPE_CHECKING, Self

import click

from kworkspace.cli.paint import paint

if TYPE_CHECKING:
    from kworkspace.cli.live_line import LiveLine

MAX_TEXT = 4000


def one_line(text: str) -> str:
    """Return the text on one line, without control characters: what a hub says may hold any.

    `isprintable` refuses C0 and C1, line separators, and what turns the direction of writing. What
    is longer than MAX_TEXT characters is cut.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 3]}..."


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    click.echo(one_line(text), err=True)


def warn(text: str) -> None:
    """Tell the person what they should change."""
    click.echo(f"{paint('kworkspace:', 'yellow', err=True)} {one_line(text)}", err=True)


def seconds(value: float) -> str:
    """Return a duration as people say it: `0.8 s`, `42 s`, `5 min`, `2 h 5 min`, `3 days`.

    Args:
        value: seconds; below zero (two clocks) counts as zero.
    """
    value = max(value, 0.0)
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"


class Progress:
    """Shows how a wait goes on; a context, so that the live line is gone afterwards.

    Args:
        title: what is waited for, such as `Starting your workspace`.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = ""
        self._live: LiveLine | None = None
        self._moves = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, message: str) -> None:
        """Show the newest message; without one, the title."""
        text = one_line(message) or self._title
        if text == self._last:
            return
        self._last = text
        if not self._moves:
            click.echo(text, err=True)
            return
        if self._live is None:
            from kworkspace.cli.live_line import LiveLine  # noqa: PLC0415 - rich takes 50 ms

            self._live = LiveLine()
        self._live.show(text)
