"""Calls to a hub that may be restarting: tried again for a while before anybody hears of it."""

import asyncio
import random
from typing import TypeVar

from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import Forbidden, HubUnreachable, Unavailable

T = TypeVar("T")

PATIENCE_SECONDS = 4.0
AWAY = (HubUnreachable, Unavailable)


def backoff(attempt: int, longest: float) -> float:
    """Return seconds to wait before a try again: doubling from 0.1, with jitter.

    Args:
        attempt: 0 after the first failure.
        longest: seconds, the cap.
    """
    step: float = 0.1 * 2 ** min(attempt, 20)
    return min(longest, step) * random.uniform(0.5, 1.0)  # noqa: S311  jitter


async def patient(hub: AsyncClient, call: Call[T], *, once: bool = False) -> T:
    """Make a call; while the hub is away, try again for PATIENCE_SECONDS.

    Args:
        hub: the client.
        call: a call that may be made twice.
        once: the hub grants it once: a refusal that follows a try without an answer may only mean
            that the hub had granted that one, and is reported as HubUnreachable.

    Raises:
        KworkspaceError: what the hub answered; HubUnreachable or Unavailable when it stays away.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    attempt = 0
    while True:
        try:
            return await hub.send(call)
        except AWAY:
            pause = backoff(attempt, 1.0)
            if loop.time() + pause > deadline:
                raise
            await asyncio.sleep(pause)
            attempt += 1
        except Forbidden as error:
            if once and attempt:
                raise HubUnreachable(error.message) from error
            raise
