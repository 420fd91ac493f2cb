"""Questions to the person: on the terminal, and only where there is one.

The question goes to stderr, so that stdout holds the result alone. Ctrl-C and Ctrl-D end the
command (`click.Abort`), and nothing is changed.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.words import one_line
from kworkspace.cli.terminal import say


def is_person() -> bool:
    """Whether somebody sits there who can answer: no pipe, no continuous integration."""
    return sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("CI")


def ask(question: str, default: str = "") -> str:
    """Return an answer, without the white space around it; "" and no default are one."""
    with _line_ended():
        answer: str = click.prompt(
            one_line(question), default=default, err=True, show_default=bool(default)
        )
    return answer.strip()


def have_typed(word: str, what: str) -> bool:
    """Return whether the person typed the word that shows that they mean it.

    Args:
        word: to be typed.
        what: what happens then, as a sentence.

    Raises:
        UsageFault: there is nobody to ask.
    """
    if not is_person():
        raise UsageFault("there is no terminal to ask on: give --yes if you mean it")
    say(what)
    return ask(f"Type {word} to go on") == word


def agrees(what: str) -> bool:
    """Return whether the person says yes to a sentence.

    Raises:
        UsageFault: there is nobody to ask.
    """
    if not is_person():
        raise UsageFault("there is no terminal to ask on: give --yes if you mean it")
    say(what)
    with _line_ended():
        return click.confirm("Go on?", err=True)


@contextmanager
def _line_ended() -> Iterator[None]:
    """End the question's line when the person ends the command instead of answering."""
    try:
        yield
    except click.Abort:
        click.echo(err=True)
        raise
