"""Prints what the commands report: as one line of JSON for programs, or as text for people."""

from collections.abc import Callable, Iterable

import click
import msgspec

from kworkspace.cli.client.reports import to_json
from kworkspace.cli.client.words import one_line
from kworkspace.cli.settings import Flags


def report(flags: Flags, result: msgspec.Struct, text: str) -> None:
    """Print a result on stdout: as one line of JSON, or as a sentence."""
    click.echo(to_json(result) if flags.json else one_line(text))


def report_picture(
    flags: Flags, result: msgspec.Struct, picture: Callable[[], Iterable[str]]
) -> None:
    """Print a result on stdout: as one line of JSON, or as the lines of a picture.

    Args:
        flags: of this run.
        result: for programs.
        picture: makes the lines, from `tables`, which cleans what a hub says.
    """
    click.echo(to_json(result) if flags.json else "\n".join(picture()))
