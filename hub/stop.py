"""How the process is told to end: once in order, twice at once, and never later than it may.

SIGTERM, SIGINT, or SIGHUP, as when its terminal is closed. Nothing is lost by ending at once: what
was answered is in the database, and the next hub takes up the rest.
"""

import asyncio
import logging
import os
import signal

log = logging.getLogger(__name__)

LIMIT_SECONDS = 9.0
"""For an end in order, below the ten seconds that docker stop gives (Kubernetes gives thirty)."""


class Stop:
    """Takes the signals, from the event loop that makes it."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._tell, number)

    async def wait(self) -> None:
        """Return when the process is to end."""
        await self._told.wait()

    def _tell(self, number: signal.Signals) -> None:
        if self._told.is_set():
            _end(f"Told twice to end: ending at once ({number.name})", 128 + number)
        self._told.set()
        self._loop.call_later(
            LIMIT_SECONDS, _end, f"Not ended within {LIMIT_SECONDS:.0f} s: ending at once", 1
        )


def _end(why: str, status: int) -> None:
    log.warning("%s", why)
    logging.shutdown()
    os._exit(status)
