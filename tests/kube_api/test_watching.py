"""Watches: versions, selectors, deletions, bookmarks, and a past that is forgotten."""

from typing import Any

from tests.kube_api.clients import PODS, SECRETS, Client, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object


def told(events: list[Object]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def label(client: Client, name: str, **labels: Any) -> Object:
    change = {"metadata": {"labels": labels}}
    _, found = await client.call(
        "PATCH", f"{SECRETS}/{name}", change, type="application/merge-patch+json"
    )
    thing: Object = found
    return thing


async def test_a_watch_goes_on_where_the_list_ended(client: Client) -> None:
    await client.call("POST", SECRETS, secret("a"))
    _, found = await client.call("GET", SECRETS)
    await client.call("POST", SECRETS, secret("b"))
    await label(client, "a", x="1")
    await client.call("DELETE", f"{SECRETS}/a")
    version = found["metadata"]["resourceVersion"]
    async with client.watch(SECRETS, resourceVersion=version) as watched:
        events = await watched.take(3)
        await client.call("POST", SECRETS, secret("c"))
        events += await watched.take(1)
    assert told(events) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "c")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


async def test_a_watch_without_version_begins_with_what_there_is(client: Client) -> None:
    await client.call("POST", SECRETS, secret("a"))
    for version in ("", "0"):
        async with client.watch(SECRETS, resourceVersion=version) as watched:
            assert told(await watched.take(1)) == [("ADDED", "a")]


async def test_objects_enter_and_leave_a_selector(client: Client) -> None:
    await client.call("POST", SECRETS, secret("a"))
    async with client.watch(SECRETS, labelSelector="x=1") as watched:
        await label(client, "a", x="1")
        await label(client, "a", y="2")
        last = await label(client, "a", x="3")
        await label(client, "a", y="4")  # is not ours to see
        await label(client, "a", x="1")
        await client.call("DELETE", f"{SECRETS}/a")
        events = await watched.take(5)
    assert [event["type"] for event in events] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
        "ADDED",
        "DELETED",
    ]
    left = events[2]["object"]["metadata"]
    assert left["labels"] == {"x": "1", "y": "2"}  # as it was while it matched
    assert left["resourceVersion"] == last["metadata"]["resourceVersion"]


async def test_fields_select_too(client: Client) -> None:
    async with client.watch("/api/v1/secrets", fieldSelector="metadata.name=b") as watched:
        for name in ("a", "b"):
            await client.call("POST", SECRETS, secret(name))
        assert told(await watched.take(1)) == [("ADDED", "b")]


async def test_other_namespaces_are_not_seen(cluster: Cluster, client: Client) -> None:
    cluster.add_namespace("other")
    async with client.watch(SECRETS) as watched:
        await client.call("POST", "/api/v1/namespaces/other/secrets", secret("a"))
        await client.call("POST", SECRETS, secret("b"))
        assert told(await watched.take(1)) == [("ADDED", "b")]


async def test_bookmarks_come_to_who_wants_them(cluster: Cluster, client: Client) -> None:
    async with (
        client.watch(SECRETS, allowWatchBookmarks="true") as wants,
        client.watch(SECRETS) as does_not,
    ):
        await client.call("POST", "/api/v1/namespaces/default/secrets", secret("a"))
        cluster.bookmark()
        (event,) = await wants.take(1)
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"] == {"resourceVersion": str(cluster.store.revision)}
        await client.call("POST", SECRETS, secret("b"))
        assert told(await does_not.take(1)) == [("ADDED", "b")]


async def test_a_forgotten_version_is_an_event_and_the_end(
    cluster: Cluster, client: Client
) -> None:
    _, found = await client.call("GET", SECRETS)
    await client.call("POST", SECRETS, secret("a"))
    cluster.compact()
    version = found["metadata"]["resourceVersion"]
    async with client.watch(SECRETS, resourceVersion=version) as watched:
        assert watched.response.status == 200
        (event,) = await watched.take(1)
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert await watched.next() is None
    _, again = await client.call("GET", SECRETS)
    async with client.watch(SECRETS, resourceVersion=again["metadata"]["resourceVersion"]) as ok:
        await client.call("POST", SECRETS, secret("b"))
        assert told(await ok.take(1)) == [("ADDED", "b")]


async def test_a_watch_ends_at_its_timeout(client: Client) -> None:
    async with client.watch(PODS, timeoutSeconds="1") as watched:
        assert await watched.next() is None


async def test_a_pod_that_is_deleted_is_seen_going(cluster: Cluster, client: Client) -> None:
    cluster.scheduler.paused = True
    await client.call("POST", PODS, pod())
    async with client.watch(PODS) as watched:
        await watched.take(1)
        _, gone = await client.call("DELETE", f"{PODS}/alice")
        (event,) = await watched.take(1)
    assert event["type"] == "DELETED"  # nothing runs, so nothing is waited for
    assert event["object"]["metadata"]["uid"] == gone["metadata"]["uid"]
