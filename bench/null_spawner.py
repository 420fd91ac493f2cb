"""A spawner without workspaces, for a database that is full and a machine that is not.

What it "runs" is a file, so that the next hub, or another one, adopts it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kworkspace.spawners.base import ProgressSink, Running, Spawner, Workspace


class NullSpawner(Spawner):
    """Says that everything runs."""

    def _file(self, id: str) -> Path:
        folder = self.data_dir / "null"
        folder.mkdir(exist_ok=True)
        return folder / f"{id}.json"

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
        new = self._file(workspace.id).with_suffix(".new")
        new.write_text(json.dumps(asdict(made)))
        new.rename(self._file(workspace.id))
        return made

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        """Forget it."""
        self._file(id).unlink(missing_ok=True)

    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        """Return what was started."""
        return _read(self._file(id))

    async def running(self) -> Sequence[Running]:
        """Return all that was started."""
        found = map(_read, self._file("*").parent.glob("*.json"))
        return [each for each in found if each is not None]

    async def refresh(self, workspace: Workspace) -> None:
        """There is nothing to bring up to date."""


def _read(file: Path) -> Running | None:
    try:
        return Running(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
