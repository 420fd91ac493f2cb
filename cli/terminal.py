"""What reaches the person's terminal: text of one line, and the line that moves while they wait.

Progress and warnings go to stderr, results to stdout. On a terminal progress is one live line
(drawn by `live_line`, loaded when it is first needed), elsewhere one line for each new message.
"""

import os
import sys
from typing import TYPE_CHECKING, Self

import click

from kworkspace.cli.client.words import one_line
from kworkspace.cli.paint import paint

if TYPE_CHECKING:
    from kworkspace.cli.live_line import LiveLine


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    click.echo(one_line(text), err=True)


def warn(text: str) -> None:
    """Tell the person what they should change."""
    click.echo(f"{paint('kworkspace:', 'yellow', err=True)} {one_line(text)}", err=True)


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
