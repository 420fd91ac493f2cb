"""The alarm that something blocks the event loop: every request and stream waits for it."""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

PERIOD = 0.5
ALARM = 0.25


async def watch(tell: Callable[[float], None]) -> None:
    """Log, for ever, when the loop was blocked for longer than a quarter of a second.

    Args:
        tell: called twice a second with how late the loop was, in seconds.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + PERIOD
        await asyncio.sleep(PERIOD)
        lag = loop.time() - due
        tell(max(lag, 0.0))
        if lag > ALARM:
            log.warning("The event loop was blocked for %.2f s", lag)
