"""A spawner without workspaces, for a database that is full and a machine that is not.

What it "runs" is a line in a file, so that the next hub adopts it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from kworkspace.spawners.base import ProgressSink, Running, Spawner, Workspace


class NullSpawner(Spawner):
    """Says that everything runs."""

    def _read(self) -> dict[str, Running]:
        try:
            text = (self.data_dir / "null.json").read_text()
        except FileNotFoundError:
            return {}
        return {entry["id"]: Running(**entry) for entry in json.loads(text)}

    def _write(self, running: dict[str, Running]) -> None:
        text = json.dumps([asdict(each) for each in running.values()])
        (self.data_dir / "null.json").write_text(text)

    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        """Be ready at once."""
        made = Running(
            id=workspace.id,
            slug=workspace.slug,
            object_uid=workspace.id,
            host="127.0.0.1",
            port=1,
            host_key="",
            account="nobody",
        )
        self._write(self._read() | {workspace.id: made})
        return made

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        """Forget it."""
        self._write({key: each for key, each in self._read().items() if key != id})

    async def find(self, id: str, slug: str) -> Running | None:
        """Return what was started."""
        return self._read().get(id)

    async def running(self) -> Sequence[Running]:
        """Return all that was started."""
        return list(self._read().values())

    async def refresh(self, workspace: Workspace) -> None:
        """There is nothing to bring up to date."""
