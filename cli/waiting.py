"""A wait that the person may leave: progress while it lasts, and what Ctrl-C does not end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kworkspace.cli.client.exits import Interrupted
from kworkspace.cli.terminal import Progress


@contextmanager
def waiting(title: str, goes_on: str) -> Iterator[Callable[[str], None]]:
    """Show progress for the time of the context; yields what shows a message.

    Args:
        title: what is waited for.
        goes_on: what a person who interrupts should know.

    Raises:
        Interrupted: the person pressed Ctrl-C.
    """
    with Progress(title) as progress:
        try:
            yield progress.show
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {goes_on} (see kworkspace status)") from None
