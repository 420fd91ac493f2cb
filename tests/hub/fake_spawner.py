"""A spawner whose workspaces are entries in a dictionary, and ways for it to behave."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.base import (
    Exit,
    Home,
    Profile,
    ProgressSink,
    Running,
    Spawner,
    Workspace,
)


def held_by(event: asyncio.Event) -> Callable[[object], Awaitable[None]]:
    """Return a behaviour that waits for an event."""

    async def hold(_: object) -> None:
        await event.wait()

    return hold


async def forever() -> None:
    """Never return."""
    await asyncio.Event().wait()


class FakeSpawner(Spawner):
    """Workspaces that are entries in a dictionary; it keeps the same contract as the real ones.

    Attributes:
        world: what runs, by the server's id; another spawner may be given the same one, as after
            a hub's restart.
        behaviour: awaited within each start, to hold it or to let it fail.
        calls: every call, in order.
        homes: the slugs whose files exist.
        kept: what there is of homes to look after.
        offered: what a user may ask for.
    """

    def __init__(self, *, world: dict[str, Running] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.world: dict[str, Running] = {} if world is None else world
        self.behaviour: Callable[[Workspace], Awaitable[None]] | None = None
        self.stop_behaviour: Callable[[str], Awaitable[None]] | None = None
        self.calls: list[tuple[str, str]] = []
        self.homes: set[str] = set()
        self.kept: list[Home] = []
        self.offered: list[Profile] = []
        self.starting = asyncio.Event()
        self._stops: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        self.calls.append(("start", workspace.slug))
        stops = self._stops[workspace.id]
        self.starting.set()
        async with self._locks[workspace.id]:
            if (running := self.world.get(workspace.id)) is not None:
                return running
            progress(10, "Making it")
            if self.behaviour is not None:
                await self.behaviour(workspace)
            if self._stops[workspace.id] != stops:
                raise StartFailed("it was stopped")
            progress(90, "It answers")
            return self.put(workspace.id, workspace.slug)

    def put(self, id: str, slug: str) -> Running:
        """Have a workspace run."""
        uid = uuid.uuid4().hex
        self.homes.add(slug)
        self.world[id] = Running(id, slug, uid, "127.0.0.1", 2222, "ssh-ed25519 AAAA", "someone")
        return self.world[id]

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        self.calls.append(("stop", slug))
        if self.stop_behaviour is not None:
            await self.stop_behaviour(slug)
        if object_uid is None:
            self._stops[id] += 1
        running = self.world.get(id)
        if running is not None and object_uid in {None, running.object_uid}:
            del self.world[id]

    async def delete(self, id: str, slug: str, *, user: str = "", name: str = "") -> None:
        self.calls.append(("delete", slug))
        await self.stop(id, slug)
        self.homes.discard(slug)

    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        return self.world.get(id)

    async def running(self) -> Sequence[Running]:
        return list(self.world.values())

    async def refresh(self, workspace: Workspace) -> None:
        self.calls.append(("refresh", workspace.slug))

    async def kept_homes(self) -> Sequence[Home]:
        return self.kept

    def profiles(self) -> Sequence[Profile]:
        return self.offered

    def crash(self, running: Running) -> None:
        """Have a workspace end by itself."""
        del self.world[running.id]
        self.on_exit(Exit(running.id, running.object_uid, "it crashed"))
