"""The one line that moves on a terminal while a person waits; the only module that imports rich."""

import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

FRAMES_PER_SECOND = 10


class LiveLine:
    """A spinner, the newest message cut to the terminal's width, and the seconds since it began."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        # A terminal that is not UTF-8 gets a spinner and an ending that are ASCII.
        self._unicode = "utf" in console.encoding.lower()
        self._frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if self._unicode else "-\\|/"
        self._began = time.monotonic()
        self._text = ""
        self._live = Live(
            self, console=console, transient=True, refresh_per_second=FRAMES_PER_SECOND
        )

    def show(self, text: str) -> None:
        """Draw the line with this text."""
        self._text = text
        self._live.start()

    def stop(self) -> None:
        """Take the line away."""
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the line out for the width that the terminal has now: the message gives way."""
        passed = time.monotonic() - self._began
        elapsed = f"{passed:.0f} s"
        message = Text(self._text)
        frame = self._frames[int(passed * FRAMES_PER_SECOND) % len(self._frames)]
        # Spinner, message and seconds with a space between; the last column stays empty, because
        # some terminals go on to the next line when it is filled.
        room = max(options.max_width - len(elapsed) - 4, 1)
        message.truncate(room, overflow="ellipsis" if self._unicode else "crop")
        yield Text.assemble(frame, " ", message, " ", (elapsed, "dim"), no_wrap=True)
