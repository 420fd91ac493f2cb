"""The bus on Postgres: LISTEN and NOTIFY on a connection of its own.

What is published waits in a bounded queue while the connection is away; the oldest is dropped
then, as `hub.bus` allows. The same channel tells, from within a transaction, that the journal has
news. A message is `ORIGIN NUMBER TOPIC TEXT`: who sent it, so that nobody hears themselves, and
which it is, because Postgres delivers equal ones of a transaction once.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from kworkspace.hub.bus import Bus
from kworkspace.hub.db.errors import Lost

log = logging.getLogger(__name__)

CHANNEL = "kworkspace"
JOURNAL = "journal"
MOST_WAITING = 1000
MOST_AT_ONCE = 100
PROBE_SECONDS = 5.0
BACKOFF_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)

_NOTIFY = "SELECT pg_notify($1, message) FROM unnest($2::text[]) AS message"


class PostgresBus(Bus):
    """Carries messages between the hubs on one database.

    Args:
        connect: opens a connection of asyncpg.

    Attributes:
        on_journal: called when another hub has written to the journal, or may have.
    """

    def __init__(self, connect: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.on_journal: Callable[[], None] = lambda: None
        self._connect = connect
        self._origin = uuid.uuid4().hex[:12]
        self._numbers = count()
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._wake = asyncio.Event()

    def journal_news(self) -> str:
        """Return what a transaction that writes to the journal sends over the channel."""
        return self._envelope(JOURNAL, "")

    def _envelope(self, topic: str, text: str) -> str:
        return f"{self._origin} {next(self._numbers):x} {topic} {text}"

    def _send(self, topic: str, message: bytes) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(self._envelope(topic, message.decode()))
        self._wake.set()

    async def keep(self) -> None:
        """Listen and send for ever; a connection that breaks is made again."""
        failures = 0
        while True:
            try:
                connection = await self._connect()
            except Exception as error:  # noqa: BLE001  # whatever the server says: again, later
                if failures == 0:
                    log.error("Other hubs cannot be heard: %s", error)
                await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
                failures += 1
                continue
            if failures:
                log.info("Other hubs are heard again")
            failures = 0
            try:
                await self._serve(connection)
            except Exception as error:  # noqa: BLE001  # as above
                log.warning("The connection to other hubs broke: %s", error)
            finally:
                connection.terminate()
            await asyncio.sleep(BACKOFF_SECONDS[0])

    async def _serve(self, connection: Any) -> None:
        """Use one connection until it breaks."""
        connection.add_termination_listener(lambda _connection: self._wake.set())
        await connection.add_listener(CHANNEL, self._hear)
        self.on_journal()  # what was said while nobody listened here
        while True:
            if connection.is_closed():
                raise Lost("the server closed it")
            await self._flush(connection)
            self._wake.clear()
            if self._waiting or connection.is_closed():
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._wake.wait()
                continue
            await connection.execute("SELECT 1")

    async def _flush(self, connection: Any) -> None:
        if self._dropped:
            log.warning("%d messages to other hubs were too many, and are lost", self._dropped)
            self._dropped = 0
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))]
            await connection.execute(_NOTIFY, CHANNEL, some)

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        origin, _, rest = payload.partition(" ")
        _, _, rest = rest.partition(" ")
        topic, _, message = rest.partition(" ")
        if origin == self._origin:
            return
        if topic == JOURNAL:
            self.on_journal()
        else:
            self.deliver(topic, message.encode())
