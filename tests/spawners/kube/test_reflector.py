"""The reflector against the test API server and its faults: what it knows stays true."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kworkspace.spawners.kube.client import KubeClient, Object
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.reflector import SERVER_LABEL, Reflector
from tests.kube_api.cluster import Cluster
from tests.spawners.kube.objects import NAMESPACE, is_ready, pod

KEY = (NAMESPACE, "alice")
SECONDS = 20


class Told:
    """What a reflector told, and when it was fresh."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.fresh: asyncio.Queue[bool] = asyncio.Queue()

    def event(self, type: str, object: Object, before: Object | None) -> None:
        """Take an event."""
        self.events.append((type, object["metadata"]["name"]))

    def state(self, kind: Kind, fresh: bool) -> None:
        """Take a state."""
        self.fresh.put_nowait(fresh)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def pods(client: KubeClient, told: Told) -> AsyncIterator[Reflector]:
    """A reflector of pods, not started."""
    reflector = Reflector(client, Kind.POD, NAMESPACE, "", told.event, on_fresh=told.state)
    yield reflector
    await reflector.aclose()


async def test_it_knows_what_was_there_and_what_comes(
    client: KubeClient, pods: Reflector, told: Told
) -> None:
    await client.create(Kind.POD, NAMESPACE, pod("bob", **{"kworkspace.io/server": "1"}))
    await pods.start()
    assert pods.fresh
    assert told.events[0] == ("ADDED", "bob")
    assert [each["metadata"]["name"] for each in pods.by_label(SERVER_LABEL, "1")] == ["bob"]
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    async with asyncio.timeout(SECONDS):
        ready = await pods.changed(KEY, is_ready)
    assert pods.get(*KEY) == ready
    assert "managedFields" not in ready["metadata"]
    assert {each["metadata"]["name"] for each in pods.values()} == {"alice", "bob"}
    await client.delete(Kind.POD, NAMESPACE, "alice", grace=0)
    async with asyncio.timeout(SECONDS):
        assert await pods.changed(KEY, lambda found: found is None) is None
    assert told.events[-1] == ("DELETED", "alice")
    assert pods.get(*KEY) is None


async def test_a_watch_that_is_cut_goes_on_where_it_was(
    client: KubeClient, cluster: Cluster, pods: Reflector
) -> None:
    await pods.start()
    lists = len([call for call in cluster.calls if call.verb == "list"])
    for name in ("one", "two", "three"):
        cluster.faults.drop_watches()
        await client.create(Kind.POD, NAMESPACE, pod(name))
        async with asyncio.timeout(SECONDS):
            await pods.changed((NAMESPACE, name), is_ready)
    assert len([call for call in cluster.calls if call.verb == "list"]) == lists
    assert pods.stats.breaks
    assert pods.fresh
