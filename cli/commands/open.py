"""`kworkspace open`: the hub's page in the browser."""

import os
import sys

import click

from kworkspace.cli.client.reports import OpenReport
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.terminal import say


@click.command("open")
@shared_options
@pass_flags
def command(flags: Flags) -> None:
    """Open the hub's page in your browser.

    It prints the page's URL, and opens it where there is a desktop; over ssh it only prints it. You
    are not signed in there by this.
    """
    url = f"{load(flags).api}/"
    opened = _has_desktop() and _browse(url)
    if opened and not flags.json:
        say("Opened in your browser:")
    report(flags, OpenReport(url=url, opened=opened), url)


def _has_desktop() -> bool:
    """A browser in a terminal would take it, and one at the other end of ssh is nobody's."""
    environ = os.environ
    if environ.get("SSH_CONNECTION"):
        return False
    return sys.platform == "darwin" or bool(
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    )


def _browse(url: str) -> bool:
    import webbrowser  # noqa: PLC0415 - only where there is a desktop

    try:
        return webbrowser.open(url)
    except webbrowser.Error:
        return False
