"""Tells the hub of sessions that ended, until it has heard: also over a restart of the hub."""

import asyncio
import logging
from collections import deque

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.hub import AWAY, backoff

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
MAX_UNSENT = 10_000
"""Beyond it the oldest is dropped: the hub also learns from the report which sessions are gone."""


class Endings:
    """The queue of ended sessions.

    Args:
        hub: the REST client.
    """

    def __init__(self, hub: AsyncClient) -> None:
        self._hub = hub
        self._unsent: deque[tuple[str, str]] = deque(maxlen=MAX_UNSENT)
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, session: str, reason: str) -> None:
        """A session ended; the reason is for the audit log."""
        self._unsent.append((session, reason))
        self._empty.clear()
        self._more.set()

    async def run(self) -> None:
        """Tell the hub, for ever."""
        attempt = 0
        while True:
            if not self._unsent:
                self._empty.set()
                self._more.clear()
                await self._more.wait()
            session, reason = self._unsent[0]
            try:
                await self._hub.send(calls.close_session(session, m.SessionEnd(reason=reason)))
            except AWAY:
                await asyncio.sleep(backoff(attempt, RETRY_SECONDS))
                attempt += 1
                continue
            except KworkspaceError as error:
                log.warning("The hub does not close session %s: %s", session, error.message)
            attempt = 0
            if self._unsent and self._unsent[0] == (session, reason):
                self._unsent.popleft()

    async def drained(self) -> None:
        """Wait until the hub has heard of every session that ended so far."""
        await self._empty.wait()
