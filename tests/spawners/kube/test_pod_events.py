"""Events by pod: those of now, a bounded number, and one pod's older ones on demand."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kworkspace.spawners.kube import pod_events
from kworkspace.spawners.kube.client import KubeClient, Object
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.pod_events import PodEvents
from tests.kube_api.cluster import Cluster
from tests.spawners.kube.objects import NAMESPACE, is_ready, pod


class Told:
    """The events that came."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def __call__(self, uid: str, event: Object) -> None:
        self.queue.put_nowait((uid, event["reason"]))

    async def until(self, reason: str) -> None:
        """Wait for one."""
        async with asyncio.timeout(20):
            while (await self.queue.get())[1] != reason:
                pass


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def events(client: KubeClient, told: Told) -> AsyncIterator[PodEvents]:
    found = PodEvents(client, NAMESPACE, told)
    yield found
    await found.aclose()


async def test_events_are_found_by_the_pods_uid(
    client: KubeClient, events: PodEvents, told: Told
) -> None:
    await events.start()
    assert events.fresh
    made = await client.create(Kind.POD, NAMESPACE, pod("alice"))
    await client.create(Kind.POD, NAMESPACE, pod("bob"))
    await told.until("Started")
    uid = made["metadata"]["uid"]
    reasons = [event["reason"] for event in events.of(uid)]
    assert reasons[0] == "Scheduled"
    assert {event["involvedObject"]["name"] for event in events.of(uid)} == {"alice"}
    events.forget(uid)
    assert events.of(uid) == []


async def test_what_was_before_is_read_on_demand(
    client: KubeClient, cluster: Cluster, events: PodEvents
) -> None:
    made = await client.create(Kind.POD, NAMESPACE, pod("alice"))
    await cluster.wait("pods", is_ready)
    await events.start()
    uid = made["metadata"]["uid"]
    assert events.of(uid) == []
    assert (await events.load(NAMESPACE, uid))[0]["reason"] == "Scheduled"
    assert await events.load(NAMESPACE, uid) == events.of(uid)


def _event(name: str, uid: str) -> Object:
    return {"metadata": {"name": name}, "involvedObject": {"uid": uid}, "reason": name}


async def test_they_are_bounded(events: PodEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_events, "EVENTS_A_POD", 3)
    monkeypatch.setattr(pod_events, "PODS", 2)
    for name in ("a", "b", "c", "a", "d"):
        events.apply("ADDED", _event(name, "1"))
    assert [event["reason"] for event in events.of("1")] == ["c", "a", "d"]
    events.apply("DELETED", _event("c", "1"))
    assert len(events.of("1")) == 3
    for uid in ("2", "1", "3"):
        events.apply("MODIFIED", _event("x", uid))
    assert events.of("2") == []
    assert events.of("1")
    assert events.of("3")


async def test_who_is_told_may_fail(client: KubeClient, caplog: pytest.LogCaptureFixture) -> None:
    def fails(uid: str, event: Object) -> None:
        raise ValueError

    events = PodEvents(client, NAMESPACE, fails)
    events.apply("ADDED", _event("a", "1"))
    assert len(events.of("1")) == 1
    assert "What follows from an event of a pod failed" in caplog.text
