"""The alarm that something blocks the event loop: every request and stream waits for it."""

import asyncio
import logging

log = logging.getLogger(__name__)

PERIOD = 0.5
ALARM = 0.25


async def watch() -> None:
    """Log, for ever, when the loop was blocked for longer than a quarter of a second."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD
        await asyncio.sleep(PERIOD)
        lag = loop.time() - due
        if lag > ALARM:
            log.warning("The event loop was blocked for %.2f s", lag)
