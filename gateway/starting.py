"""The start of a session's workspace, followed for whoever waits: relay and tunnel alike."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from kworkspace.cli.client import calls
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import Conflict, HubUnreachable, StartFailed
from kworkspace.gateway.hub import AWAY, backoff

log = logging.getLogger(__name__)

START_PATIENCE_SECONDS = 60.0


class NotStarted(Conflict):
    """The workspace does not run, and this connection may not start it."""


async def follow_start(
    hub: AsyncClient, id: str, show: Callable[[str], None], refusal: str | None = None
) -> None:
    """Wait until the workspace is ready, also over a restart of the hub.

    Args:
        hub: the REST client.
        id: the session.
        show: called with each new line of progress.
        refusal: what to say if nobody has started it, by whom may not; None: it was asked for.

    Raises:
        NotStarted: nobody has.
        StartFailed: with the spawner's reason and what to do.
        HubUnreachable: it does not say how the start goes on.
    """
    seen: set[str] = set()
    loop = asyncio.get_running_loop()
    deadline, attempt = loop.time() + START_PATIENCE_SECONDS, 0
    while True:
        try:
            async with aclosing(hub.stream(calls.session_progress(id))) as stream:
                async for event in stream:
                    if event.failed and refusal is not None and not seen:
                        raise NotStarted(refusal)
                    if event.failed:
                        raise StartFailed(_failure(event.message))
                    # That it is ready is news only to who has seen it start.
                    if event.message and event.message not in seen and (seen or not event.ready):
                        seen.add(event.message)
                        show(event.message)
                        deadline, attempt = loop.time() + START_PATIENCE_SECONDS, 0
                    if event.ready:
                        return
        except AWAY as error:
            log.info("Session %s waits for the hub: %s", id, error.message)
        if loop.time() > deadline:
            raise HubUnreachable("The hub does not say how the start goes on")
        await asyncio.sleep(backoff(attempt, 2.0))
        attempt += 1


def _failure(reason: str) -> str:
    """Return reason and what to do; spawners write reasons with and without a full stop."""
    reason = reason.rstrip(".") or "the hub gave no reason"
    return (
        f"Your workspace did not start: {reason}. Try again; if it stays like this, show this line"
        " to your administrator."
    )
