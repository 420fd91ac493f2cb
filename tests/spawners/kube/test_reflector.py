"""The reflector against the test API server and its faults: what it knows stays true."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import errors, watches
from kworkspace.spawners.kube.client import KubeClient, Object, Objects
from kworkspace.spawners.kube.credentials import Connection
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


class Watched:
    """The client's watches, counted.

    Attributes:
        silence: seconds that count as dead.
    """

    def __init__(self, client: KubeClient) -> None:
        self._watch = client.watch
        self._begun = asyncio.Semaphore(0)
        self.silence = 60.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Watch."""
        self._begun.release()
        return self._watch(*args, **kwargs, silence=self.silence)

    async def times(self, count: int) -> None:
        """Wait until so many have begun."""
        for _ in range(count):
            await self._begun.acquire()


@pytest.fixture
def watched(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> Watched:
    counting = Watched(client)
    monkeypatch.setattr(client, "watch", counting)
    return counting


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
    assert ready is not None
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


async def test_the_planned_end_of_a_watch_is_no_break(
    client: KubeClient, cluster: Cluster, pods: Reflector
) -> None:
    await pods.start()
    cluster.faults.drop_watches(politely=True)
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    async with asyncio.timeout(SECONDS):
        await pods.changed(KEY, is_ready)
    assert pods.stats.breaks == 0
    assert pods.stats.lists == 1


async def test_it_lists_again_when_the_server_has_forgotten(
    client: KubeClient, cluster: Cluster, pods: Reflector, told: Told
) -> None:
    for name in ("gone", "again", "same"):
        await client.create(Kind.POD, NAMESPACE, pod(name))
    await pods.start()
    async with asyncio.timeout(SECONDS):
        for name in ("gone", "again", "same"):
            await pods.changed((NAMESPACE, name), is_ready)
    told.events.clear()
    async with cluster.faults.down():
        cluster.delete("pods", NAMESPACE, "gone", gracePeriodSeconds=0)
        cluster.delete("pods", NAMESPACE, "again", gracePeriodSeconds=0)
        cluster.add(pod("again") | {"metadata": {"name": "again", "namespace": NAMESPACE}})
        cluster.compact()
    async with asyncio.timeout(SECONDS):
        await pods.changed((NAMESPACE, "gone"), lambda found: found is None)
        await pods.changed((NAMESPACE, "again"), is_ready)
    assert told.events[:3] == [("DELETED", "gone"), ("DELETED", "again"), ("ADDED", "again")]
    assert ("MODIFIED", "same") not in told.events
    assert pods.stats.expired == 1
    assert pods.stats.lists == 2


async def test_a_storm_of_410s_passes(
    client: KubeClient, cluster: Cluster, pods: Reflector, watched: Watched
) -> None:
    cluster.faults.expire_next(4, kind="pods")
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    await pods.start()
    async with asyncio.timeout(SECONDS):
        await watched.times(5)
        await pods.changed(KEY, is_ready)
    assert pods.stats.expired == 4
    assert pods.stats.lists == 5


async def test_a_stale_one_says_so_once_and_reads_ask_the_server(
    *,
    cluster: Cluster,
    client: KubeClient,
    pods: Reflector,
    told: Told,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watches, "GRACE_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "kworkspace")
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    await pods.start()
    cluster.faults.fail_next(500, 1000, verb="watch")
    cluster.faults.drop_watches()
    async with asyncio.timeout(SECONDS):
        assert await told.fresh.get() is False
    assert not pods.fresh
    await client.create(Kind.POD, NAMESPACE, pod("bob", a="b"))
    assert pods.get(NAMESPACE, "bob") is None
    assert (await pods.read(NAMESPACE, "bob") or {})["metadata"]["name"] == "bob"
    assert await pods.read(NAMESPACE, "nobody") is None
    assert len(await pods.read_all()) == 2
    assert [each["metadata"]["name"] for each in await pods.read_all("a=b")] == ["bob"]
    cluster.faults.clear()
    async with asyncio.timeout(SECONDS):
        assert await told.fresh.get() is True
        await pods.changed((NAMESPACE, "bob"), is_ready)
    reads = len(cluster.calls)
    assert await pods.read(NAMESPACE, "bob") == pods.get(NAMESPACE, "bob")
    assert await pods.read_all("a=b") == pods.by_label("a", "b")
    assert len(await pods.read_all()) == 2
    assert len(cluster.calls) == reads
    said = [record.getMessage() for record in caplog.records if "watch of pods" in record.message]
    assert len(said) == 2
    assert "is cut" in said[0]
    assert "is back" in said[1]


async def test_it_is_true_again_soon_after_the_server_is_back(
    client: KubeClient, cluster: Cluster, pods: Reflector
) -> None:
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    await pods.start()
    loop = asyncio.get_running_loop()
    async with cluster.faults.down():
        cluster.delete("pods", NAMESPACE, "alice", gracePeriodSeconds=0)
        await asyncio.sleep(2.5)  # long enough for the longest pause between two tries
    back = loop.time()
    async with asyncio.timeout(SECONDS):
        await pods.changed(KEY, lambda found: found is None)
    assert loop.time() - back < watches.MOST_PAUSE_SECONDS + 1


async def test_a_dead_connection_is_noticed(
    client: KubeClient, cluster: Cluster, pods: Reflector, watched: Watched
) -> None:
    watched.silence = 0.2
    await pods.start()
    with cluster.faults.stale():
        await client.create(Kind.POD, NAMESPACE, pod("alice"))
        async with asyncio.timeout(SECONDS):
            await watched.times(3)
    async with asyncio.timeout(SECONDS):
        await pods.changed(KEY, is_ready)
    assert pods.stats.breaks
    assert pods.stats.lists == 1


async def test_what_it_tells_may_fail(
    client: KubeClient, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: Any) -> None:
        raise ValueError

    def picky(found: Object | None) -> bool:
        if found is None:
            return False
        raise LookupError

    pods = Reflector(client, Kind.POD, NAMESPACE, "", fails)
    await pods.start()
    tasks = Tasks()
    waiting = tasks.spawn(pods.changed(KEY, picky), "wait")
    await asyncio.sleep(0)
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    async with asyncio.timeout(SECONDS):
        with pytest.raises(LookupError):
            await waiting
        await pods.changed(KEY, is_ready)
    assert "What follows from a change of pods failed" in caplog.text
    await pods.aclose()


async def test_an_error_that_nobody_expects_does_not_end_it(
    client: KubeClient,
    cluster: Cluster,
    pods: Reflector,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    original, failures = client.watch, [RuntimeError("surprise"), asyncio.CancelledError()]

    def surprising(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return original(*args, **kwargs)

    monkeypatch.setattr(client, "watch", surprising)
    await pods.start()
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    async with asyncio.timeout(SECONDS):
        await pods.changed(KEY, is_ready)
    assert not failures
    assert "The watch of pods failed" in caplog.text


async def test_who_waits_may_be_cancelled_and_ends_with_it(pods: Reflector) -> None:
    await pods.start()
    tasks = Tasks()
    first = tasks.spawn(pods.changed(KEY, is_ready), "first")
    second = tasks.spawn(pods.changed(KEY, is_ready), "second")
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    await pods.aclose()
    await asyncio.wait([second])
    assert second.cancelled()


async def test_a_start_that_may_not_list_says_so(cluster: Cluster) -> None:
    kubeconfig = cluster.user("hub", [], NAMESPACE)
    async with await KubeClient.open(Connection(kubeconfig=str(kubeconfig))) as client:
        pods = Reflector(client, Kind.POD, NAMESPACE)
        with pytest.raises(errors.Forbidden, match="list pods in namespace workspaces"):
            await pods.start()
        assert not pods.fresh


async def test_what_was_missed_is_found_by_listing_now_and_then(
    client: KubeClient, cluster: Cluster, pods: Reflector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "RECONCILE_SECONDS", (0.01, 0.02))
    await pods.start()
    with cluster.faults.stale():  # the watch says nothing
        await client.create(Kind.POD, NAMESPACE, pod("alice"))
        async with asyncio.timeout(SECONDS):
            await pods.changed(KEY, is_ready)
    assert pods.fresh


def _object(name: str, version: int, uid: str = "1") -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "resourceVersion": str(version),
        }
    }


def _names(reflector: Reflector) -> set[str]:
    return {each["metadata"]["name"] for each in reflector.values()}


async def test_an_older_list_undoes_no_event(pods: Reflector, told: Told) -> None:
    pods.replace(Objects([_object("old", 1), _object("deleted", 2), _object("missed", 3)], "10"))
    pods.apply("ADDED", _object("new", 12))
    pods.apply("DELETED", _object("deleted", 13))
    pods.apply("MODIFIED", _object("old", 14))
    told.events.clear()
    pods.merge(Objects([_object("old", 1), _object("deleted", 2), _object("found", 9)], "11"))
    assert _names(pods) == {"old", "new", "found"}
    assert (pods.get(NAMESPACE, "old") or {})["metadata"]["resourceVersion"] == "14"
    assert told.events == [("DELETED", "missed"), ("ADDED", "found")]


async def test_an_event_that_the_list_knew_changes_nothing(pods: Reflector, told: Told) -> None:
    pods.merge(Objects([_object("here", 9)], "11"))
    told.events.clear()
    pods.apply("ADDED", _object("here", 8))
    pods.apply("ADDED", _object("gone", 10))
    pods.apply("DELETED", _object("gone", 11))
    assert told.events == []
    assert _names(pods) == {"here"}


async def test_versions_that_go_back_are_believed(pods: Reflector) -> None:
    """As after the cluster was restored from a backup."""
    pods.replace(Objects([_object("here", 900)], "1000"))
    pods.replace(Objects([_object("here", 90)], "100"))
    pods.apply("ADDED", _object("new", 101))
    assert _names(pods) == {"here", "new"}
    assert (pods.get(NAMESPACE, "here") or {})["metadata"]["resourceVersion"] == "90"


async def test_another_of_the_same_name_is_another(pods: Reflector, told: Told) -> None:
    pods.apply("ADDED", _object("here", 1))
    pods.apply("MODIFIED", _object("here", 5, uid="2"))
    assert told.events == [("ADDED", "here"), ("DELETED", "here"), ("ADDED", "here")]


async def test_an_index_follows_the_labels(pods: Reflector) -> None:
    here = _object("here", 1)
    here["metadata"]["labels"] = {SERVER_LABEL: "a"}
    pods.apply("ADDED", here)
    there = _object("here", 2)
    there["metadata"]["labels"] = {SERVER_LABEL: "b", "x": "y"}
    pods.apply("MODIFIED", there)
    assert pods.by_label(SERVER_LABEL, "a") == []
    assert pods.by_label(SERVER_LABEL, "b") == [there]
    assert pods.by_label("x", "y") == [there]
    pods.apply("DELETED", _object("here", 3))
    assert pods.by_label(SERVER_LABEL, "b") == []
