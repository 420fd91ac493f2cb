"""The loop that keeps a watch alive: what it asks for; its faults are in test_reflector.py."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import watches
from kworkspace.spawners.kube.client import Object, Objects
from kworkspace.spawners.kube.errors import ApiError, ClusterUnreachable, Expired
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.watches import WatchLoop


class Cluster:
    """Answers lists and watches from scripts.

    Attributes:
        ends: how the next watches end: None as planned.
        asked: what each watch asked for.
        lists: how many lists there were.
        fails: what lists fail with.
    """

    def __init__(self) -> None:
        self.ends: list[Exception | None] = []
        self.asked: list[dict[str, Any]] = []
        self.at: list[float] = []
        self.lists = 0
        self.fails: ApiError | None = None

    async def list(self, kind: Kind, namespace: str | None, **options: Any) -> Objects:
        """Answer a list."""
        self.lists += 1
        if self.fails is not None:
            raise self.fails
        return Objects([], str(100 * self.lists))

    async def head(self, kind: Kind, namespace: str | None) -> str:
        """Answer what version it is."""
        return "7"

    async def watch(
        self, kind: Kind, namespace: str | None, **options: Any
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Tell one bookmark, and end as the script says, or never."""
        self.asked.append(options)
        self.at.append(asyncio.get_running_loop().time())
        options["on_open"]()
        version = str(int(options["resource_version"]) + 1)
        yield "BOOKMARK", {"metadata": {"resourceVersion": version}}
        if not self.ends:
            await asyncio.Event().wait()
        if (end := self.ends.pop(0)) is not None:
            raise end

    @property
    def versions(self) -> Sequence[str]:
        """The versions that were resumed from."""
        return [each["resource_version"] for each in self.asked]


class Kept:
    """Keeps nothing, and counts."""

    def __init__(self) -> None:
        self.replaced = self.merged = 0

    def replace(self, listed: Objects) -> None:
        """Count."""
        self.replaced += 1

    def merge(self, listed: Objects) -> None:
        """Count."""
        self.merged += 1

    def apply(self, type: str, object: Object) -> None:
        """Nothing comes."""


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def kept() -> Kept:
    return Kept()


def _loop(cluster: Cluster, kept: Kept, **options: Any) -> WatchLoop:
    return WatchLoop(cluster, Kind.POD, "a", sink=kept, **options)  # type: ignore[arg-type]


@pytest.mark.looptime
async def test_it_resumes_from_bookmarks(cluster: Cluster, kept: Kept) -> None:
    cluster.ends = [None, ClusterUnreachable("cut"), None]
    loop = _loop(cluster, kept)
    await loop.start()
    await asyncio.sleep(10)
    await loop.aclose()
    assert cluster.versions == ["100", "101", "102", "103"]
    assert all(240 <= each["seconds"] <= 360 for each in cluster.asked)
    assert kept.replaced == 1


@pytest.mark.looptime
async def test_it_lists_again_only_after_a_410(cluster: Cluster, kept: Kept) -> None:
    cluster.ends = [Expired("too old"), None]
    loop = _loop(cluster, kept)
    await loop.start()
    await asyncio.sleep(10)
    await loop.aclose()
    assert cluster.versions == ["100", "200", "201"]
    assert kept.replaced == 2


@pytest.mark.looptime
async def test_it_does_not_hurry_a_server_that_fails(cluster: Cluster, kept: Kept) -> None:
    cluster.ends = [ClusterUnreachable("cut") for _ in range(30)]
    loop = _loop(cluster, kept)
    await loop.start()
    await asyncio.sleep(60)
    await loop.aclose()
    pauses = [later - sooner for sooner, later in zip(cluster.at, cluster.at[1:], strict=False)]
    assert pauses[0] <= 0.1
    assert all(0.5 <= pause <= watches.MOST_PAUSE_SECONDS for pause in pauses[6:])


@pytest.mark.looptime
async def test_without_history_it_begins_now(cluster: Cluster, kept: Kept) -> None:
    loop = _loop(cluster, kept, history=False)
    await loop.start()
    await asyncio.sleep(3600)
    await loop.aclose()
    assert cluster.versions == ["7"]
    assert cluster.lists == kept.replaced == kept.merged == 0


@pytest.mark.looptime
async def test_all_is_compared_now_and_then(
    cluster: Cluster, kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    loop = _loop(cluster, kept)
    await loop.start()
    await asyncio.sleep(3600)
    assert 6 <= kept.merged <= 12
    caplog.set_level("INFO")
    cluster.fails = ClusterUnreachable("no answer")
    await asyncio.sleep(601)
    cluster.fails = None
    assert "pods were not compared: no answer" in caplog.text
    merged = kept.merged
    await asyncio.sleep(601)
    assert kept.merged > merged
    loop.fresh = False
    merged = kept.merged
    await asyncio.sleep(3600)
    assert kept.merged == merged
    await loop.aclose()


@pytest.mark.looptime
async def test_it_ends_when_it_is_closed(cluster: Cluster, kept: Kept) -> None:
    loop = _loop(cluster, kept)
    await loop.start()
    tasks = Tasks()
    await asyncio.wait_for(tasks.spawn(loop.aclose(), "close"), 5)
    begun = len(cluster.asked)
    await asyncio.sleep(100)
    assert len(cluster.asked) == begun
