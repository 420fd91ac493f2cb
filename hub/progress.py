"""Progress of starts, stops and deletions, for whoever listens, on whichever hub.

What a spawner says travels on the bus, tagged with the server's generation, so that it does not
matter in which order the words of several hubs arrive; every hub keeps them for late listeners.
How an operation begins and ends is not told but seen in the server's committed state: a message
that is lost leaves nobody waiting.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from kworkspace.cli.client.models import Progress, ServerState
from kworkspace.hub.bus import Bus
from kworkspace.hub.readmodel import ReadModel, ServerRow

MAX_EVENTS = 200
MOST_CHARACTERS = 1000  # of one event: below `bus.MOST_BYTES`, whatever they are
TOPIC = "progress"

READY = Progress(progress=100, ready=True, message="Your workspace is ready")
STOPPED = Progress(progress=100, message="The workspace is stopped")
DELETED = Progress(progress=100, message="The workspace is deleted")


class _Message(msgspec.Struct, frozen=True, kw_only=True):
    server: str
    generation: int
    item: Progress


@dataclass(slots=True)
class _Feed:
    generation: int
    events: list[Progress] = field(default_factory=list)


class ProgressBoard:
    """All feeds, by the server's id.

    Args:
        bus: to the other hubs.
        readmodel: what is committed.
    """

    def __init__(self, *, bus: Bus, readmodel: ReadModel) -> None:
        self._bus = bus
        self._readmodel = readmodel
        self._feeds: dict[str, _Feed] = {}
        self._changed: dict[str, asyncio.Event] = {}
        bus.subscribe(TOPIC, self._heard)
        readmodel.on_server.append(self._server_changed)

    def add(self, server_id: str, generation: int, item: Progress) -> None:
        """Tell what a spawner says of an operation; it never ends one.

        Args:
            server_id: whose.
            generation: the server's, by which the operation is known.
            item: what; a long text is cut.
        """
        item = Progress(progress=item.progress, message=item.message[:MOST_CHARACTERS])
        message = _Message(server=server_id, generation=generation, item=item)
        self._bus.publish(TOPIC, msgspec.json.encode(message))

    def _heard(self, data: bytes) -> None:
        message = msgspec.json.decode(data, type=_Message)
        feed = self._feeds.get(message.server)
        if feed is None or feed.generation < message.generation:
            feed = self._feeds[message.server] = _Feed(message.generation)
        # What a hub repeats that has taken over is known already.
        if (
            feed.generation == message.generation
            and message.item not in feed.events
            and len(feed.events) < MAX_EVENTS
        ):
            feed.events.append(message.item)
            self._wake(message.server)

    def _server_changed(self, server_id: str) -> None:
        if self._readmodel.server(server_id) is None:
            self._feeds.pop(server_id, None)
        self._wake(server_id)

    def _wake(self, server_id: str) -> None:
        if (event := self._changed.pop(server_id, None)) is not None:
            event.set()

    async def follow(self, row: ServerRow) -> AsyncIterator[Progress]:
        """Yield what happens to a server until it is over, or at once how it stands.

        Args:
            row: the server, as who listens has seen it.
        """
        id, wanted, begun = row.id, row.desired_running, beginning(row) is not None
        feed, sent = _Feed(row.generation), 0
        said: Progress | None = None
        while True:
            changed = self._changed.setdefault(id, asyncio.Event())
            now = self._readmodel.server(id)
            if now is not None and feed.generation != now.generation:
                feed, sent = _Feed(now.generation), 0
            phase = None if now is None else beginning(now)
            if phase is not None and phase != said:
                said, begun = phase, True
                yield phase
            known = self._feeds.get(id)
            if known is not None and known.generation == feed.generation:
                feed = known
            while sent < len(feed.events) and begun:
                sent += 1
                yield feed.events[sent - 1]
            if (end := ending(now, wanted=wanted, begun=begun)) is not None:
                yield end
                return
            wanted = wanted or (now is not None and now.desired_running)
            await changed.wait()


def beginning(row: ServerRow) -> Progress | None:
    """Return the first event of what is under way with a server, None if nothing is."""
    match row.state:
        case ServerState.STARTING:
            text = f"Starting workspace {row.name}" if row.name else "Starting your workspace"
        case ServerState.STOPPING:
            text = "Stopping the workspace"
        case ServerState.STOPPED if row.deleting:
            text = "Deleting the workspace"
        case _:
            return None
    return Progress(message=text)


def ending(row: ServerRow | None, *, wanted: bool, begun: bool) -> Progress | None:
    """Return the last event for somebody who listens, None if it is not over.

    Args:
        row: the server as it is, None if it is gone.
        wanted: whether they saw that it was to run.
        begun: whether they saw anything under way.
    """
    if row is None:
        return Progress(progress=100, failed=True, message="it was deleted") if wanted else DELETED
    if row.state is ServerState.READY:
        return READY
    if wanted and not row.desired_running and not row.error:
        return Progress(progress=100, failed=True, message="it was stopped")
    if beginning(row) is not None:
        return None
    if row.error or not begun:
        return Progress(progress=100, failed=True, message=row.error or "it is stopped")
    return STOPPED
