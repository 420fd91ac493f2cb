"""What listens: asked of the spawner for a workspace that runs, bounded, over REST."""

from collections.abc import Sequence

import pytest

from kworkspace.cli.client.errors import Conflict, KworkspaceError, NotFound, TooMany
from kworkspace.hub.ports import MOST, MOST_NAME
from kworkspace.spawners.base import Listener
from tests.hub.conftest import ON_SQLITE
from tests.hub.parts import Parts


@ON_SQLITE
async def test_only_of_what_runs(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = parts.domain.ports
    with pytest.raises(NotFound):
        await ports.of("alice", "gpu")
    with pytest.raises(Conflict, match="not running"):
        await ports.of("alice", "")
    row = await parts.ready()
    with pytest.raises(KworkspaceError, match="FakeSpawner cannot tell"):
        await ports.of("alice", "")

    async def listeners(id: str, slug: str, own_port: int) -> Sequence[Listener]:
        assert (id, slug, own_port) == (row.id, row.slug, row.port)
        with pytest.raises(TooMany):
            await ports.of("alice", "")
        return [Listener(port, "127.0.0.1", "x" * 1000) for port in range(1000, 2000)]

    monkeypatch.setattr(parts.spawner, "listeners", listeners)
    found = await ports.of("alice", "")
    assert len(found) == MOST
    assert (found[0].port, len(found[0].process)) == (1000, MOST_NAME)
    await parts.servers.stop("alice", "")
    await parts.settled()
    with pytest.raises(Conflict, match="not running"):
        await ports.of("alice", "")
