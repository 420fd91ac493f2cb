"""What listens in a workspace, for its owner: asked of the spawner, at a bounded rate."""

import asyncio

from kworkspace.cli.client.errors import Conflict, NotFound, TooMany
from kworkspace.cli.client.models import Port, ServerState
from kworkspace.hub.readmodel import ReadModel
from kworkspace.spawners.base import Spawner

AT_ONCE = 8
MOST = 200
MOST_NAME = 64


class Ports:
    """Looks.

    Args:
        readmodel: what is committed.
        spawner: looks into a workspace.
    """

    def __init__(self, *, readmodel: ReadModel, spawner: Spawner) -> None:
        self._readmodel = readmodel
        self._spawner = spawner
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._looked_at: set[str] = set()

    async def of(self, user: str, name: str) -> list[Port]:
        """Return what listens in a workspace, by port.

        Raises:
            NotFound: there is no workspace of that name.
            Conflict: it does not run.
        TooMany: somebody looks already.
            KworkspaceError: the spawner cannot tell.
        """
        row = self._readmodel.server_of(user, name)
        if row is None and name:
            raise NotFound(f"User {user} has no workspace {name} yet")
        if row is None or row.state is not ServerState.READY or row.port is None:
            raise Conflict("The workspace is not running, so nothing listens in it")
        if row.id in self._looked_at:
            # Else one person could have all the turns.
            raise TooMany("What listens in this workspace is being looked at already", 1)
        self._looked_at.add(row.id)
        try:
            async with self._turn:
                found = await self._spawner.listeners(row.id, row.slug, row.port)
        finally:
            self._looked_at.discard(row.id)
        return [
            Port(port=one.port, address=one.address, process=one.process[:MOST_NAME])
            for one in found[:MOST]
        ]
