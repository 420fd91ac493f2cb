"""Lists: pages, versions, selectors."""

from tests.kube_api.clients import PODS, SECRETS, Client, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object


def names(found: Object) -> list[str]:
    return [thing["metadata"]["name"] for thing in found["items"]]


async def test_pages_are_of_one_moment(client: Client) -> None:
    for name in "abcde":
        await client.call("POST", SECRETS, secret(name))
    _, first = await client.call("GET", f"{SECRETS}?limit=2")
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await client.call("DELETE", f"{SECRETS}/d")
    await client.call("POST", SECRETS, secret("f"))
    token = first["metadata"]["continue"]
    _, second = await client.call("GET", f"{SECRETS}?limit=2&continue={token}")
    _, third = await client.call(
        "GET", f"{SECRETS}?limit=2&continue={second['metadata']['continue']}"
    )
    assert names(second) + names(third) == ["c", "d", "e"]
    assert "continue" not in third["metadata"]
    version = first["metadata"]["resourceVersion"]
    assert third["metadata"]["resourceVersion"] == version


async def test_a_page_from_a_forgotten_past(cluster: Cluster, client: Client) -> None:
    for name in "ab":
        await client.call("POST", SECRETS, secret(name))
    _, first = await client.call("GET", f"{SECRETS}?limit=1")
    await client.call("POST", SECRETS, secret("c"))
    cluster.compact()
    status, body = await client.call("GET", f"{SECRETS}?continue={first['metadata']['continue']}")
    assert (status, body["reason"]) == (410, "Expired")
    status, body = await client.call("GET", f"{SECRETS}?continue=nonsense")
    assert (status, body["reason"]) == (400, "BadRequest")


async def test_a_version_from_the_future(cluster: Cluster, client: Client) -> None:
    status, body = await client.call("GET", f"{SECRETS}?resourceVersion=999999")
    assert (status, body["reason"]) == (504, "Timeout")
    assert body["message"].startswith("Timeout: Too large resource version: 999999")


async def test_selectors(client: Client) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2", "y": "z"}), ("c", {})):
        thing = secret(name)
        thing["metadata"]["labels"] = labels
        await client.call("POST", SECRETS, thing)
    for selector, expected in (
        ("x=1", "a"),
        ("x==1", "a"),
        ("x!=1", "bc"),
        ("x", "ab"),
        ("!x", "c"),
        ("x in (1,2)", "ab"),
        ("x notin (1)", "bc"),
        ("x in (1,2),y=z", "b"),
    ):
        query = selector.replace(" ", "%20").replace("=", "%3D").replace("!", "%21")
        _, found = await client.call("GET", f"{SECRETS}?labelSelector={query}")
        assert names(found) == list(expected), selector
    status, _ = await client.call("GET", f"{SECRETS}?labelSelector=a%20b%20c")
    assert status == 400


async def test_fields(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod())
    await cluster.wait("pods", lambda thing: thing["status"]["phase"] == "Running")
    _, found = await client.call("GET", f"{PODS}?fieldSelector=status.phase%3DRunning")
    assert names(found) == ["alice"]
    _, found = await client.call("GET", f"{PODS}?fieldSelector=spec.nodeName!%3Dnode1")
    assert names(found) == []
    status, body = await client.call("GET", f"{PODS}?fieldSelector=spec.image%3Dx")
    assert status == 400
    assert "field label not supported: spec.image" in body["message"]


async def test_events_of_a_pod_by_its_uid(cluster: Cluster, client: Client) -> None:
    _, made = await client.call("POST", PODS, pod())
    await cluster.wait("events", lambda thing: thing["reason"] == "Started")
    uid = made["metadata"]["uid"]
    _, found = await client.call("GET", f"/api/v1/events?fieldSelector=involvedObject.uid%3D{uid}")
    assert [event["reason"] for event in found["items"]][:1] == ["Scheduled"]
