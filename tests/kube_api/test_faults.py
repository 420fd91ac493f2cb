"""Faults on demand."""

import asyncio

import aiohttp
import pytest

from tests.kube_api.clients import PODS, SECRETS, Client, secret
from tests.kube_api.cluster import Cluster


async def test_the_next_requests_fail(cluster: Cluster, client: Client) -> None:
    cluster.faults.fail_next(429, 2, verb="list", kind="secrets", retry_after=3)
    cluster.faults.fail_next(500, kind="pods")
    for _ in range(2):
        status, headers, body = await client.call_with_headers("GET", SECRETS)
        assert (status, headers["Retry-After"]) == (429, "3")
        assert body["details"]["retryAfterSeconds"] == 3
    assert (await client.call("GET", SECRETS))[0] == 200
    assert (await client.call("GET", PODS))[0] == 500
    assert (await client.call("GET", PODS))[0] == 200


async def test_watches_are_cut(cluster: Cluster, client: Client) -> None:
    async with client.watch(SECRETS) as watched:
        await client.call("POST", SECRETS, secret("a"))
        await watched.take(1)
        assert cluster.faults.drop_watches() == 1
        with pytest.raises(aiohttp.ClientError):
            await watched.next()
    async with client.watch(SECRETS) as watched:
        await watched.take(1)
        cluster.faults.drop_watches(politely=True)
        assert await watched.next() is None


async def test_an_answer_is_cut_in_the_middle(cluster: Cluster, client: Client) -> None:
    cluster.faults.disconnect_mid_body(kind="secrets")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.call("GET", SECRETS)
    assert (await client.call("GET", SECRETS))[0] == 200
    cluster.faults.disconnect_mid_body(verb="watch")
    async with client.watch(SECRETS) as watched:
        await client.call("POST", SECRETS, secret("a"))
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await watched.next()


async def test_watches_hear_that_they_are_too_late(cluster: Cluster, client: Client) -> None:
    cluster.faults.expire_next(2)
    for _ in range(2):
        async with client.watch(SECRETS, resourceVersion="1") as watched:
            assert watched.response.status == 200
            (event,) = await watched.take(1)
            assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
            assert await watched.next() is None


async def test_a_cache_that_is_stale(cluster: Cluster, client: Client) -> None:
    await client.call("POST", SECRETS, secret("a"))
    async with client.watch(SECRETS) as watched:
        await watched.take(1)
        with cluster.faults.stale():
            await client.call("POST", SECRETS, secret("b"))
            _, cached = await client.call("GET", f"{SECRETS}?resourceVersion=0")
            _, fresh = await client.call("GET", SECRETS)
            silent = asyncio.create_task(watched.next())  # noqa: TID251
            await client.call("GET", SECRETS)
            assert not silent.done()
        event = await silent
        assert event is not None
        assert event["object"]["metadata"]["name"] == "b"
    assert (len(cached["items"]), len(fresh["items"])) == (1, 2)


async def test_nobody_listens(cluster: Cluster, client: Client) -> None:
    async with client.watch(SECRETS) as watched, cluster.faults.down():
        with pytest.raises(aiohttp.ClientError):
            await watched.next()
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.call("GET", SECRETS)
    assert (await client.call("GET", SECRETS))[0] == 200


async def test_a_slow_server(cluster: Cluster, client: Client) -> None:
    cluster.faults.slow(30)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.call("GET", SECRETS)
    cluster.faults.slow(0)
    assert (await client.call("GET", SECRETS))[0] == 200


async def test_calls_are_noted(cluster: Cluster, client: Client) -> None:
    await client.call("GET", f"{SECRETS}?labelSelector=a")
    call = cluster.calls[-1]
    assert (call.verb, call.group, call.resource, call.namespace) == (
        "list",
        "",
        "secrets",
        "workspaces",
    )
    assert call.query == {"labelSelector": "a"}
