"""The client against the test API server: calls, retries, and errors in words."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import errors
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from kworkspace.spawners.kube.kinds import Kind
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.ports import free_port
from tests.spawners.kube.objects import NAMESPACE, is_ready, kubeconfig, pod, secret


async def test_objects_are_made_read_changed_and_deleted(client: KubeClient) -> None:
    made = await client.create(Kind.POD, NAMESPACE, pod("alice"))
    assert (await client.get(Kind.POD, NAMESPACE, "alice"))["metadata"]["name"] == "alice"
    changed = await client.patch_merge(
        Kind.POD, NAMESPACE, "alice", {"metadata": {"labels": {"a": "b"}}}
    )
    assert changed["metadata"]["labels"]["a"] == "b"
    await client.delete(Kind.POD, NAMESPACE, "alice", uid=made["metadata"]["uid"], grace=0)
    with pytest.raises(errors.NotFoundInCluster) as found:
        await client.get(Kind.POD, NAMESPACE, "alice")
    assert found.value.http_status == 404
    assert found.value.reason == "NotFound"
    assert found.value.server_message == 'pods "alice" not found'


async def test_a_secret_is_applied_without_being_read(client: KubeClient) -> None:
    await client.apply(Kind.SECRET, NAMESPACE, "alice-ssh", secret("alice-ssh", a="MQ=="))
    whole = await client.apply(Kind.SECRET, NAMESPACE, "alice-ssh", secret("alice-ssh", b="Mg=="))
    assert set(whole["data"]) == {"b"}


async def test_a_name_that_is_taken(client: KubeClient) -> None:
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    with pytest.raises(errors.AlreadyExists, match='pods "alice" already exists'):
        await client.create(Kind.POD, NAMESPACE, pod("alice"))


async def test_another_object_of_the_same_name_is_not_deleted(client: KubeClient) -> None:
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    with pytest.raises(errors.ConflictInCluster):
        await client.delete(Kind.POD, NAMESPACE, "alice", uid="another")


async def test_what_is_not_valid_says_so(client: KubeClient) -> None:
    with pytest.raises(errors.Invalid, match=r"metadata\.name") as found:
        await client.create(Kind.POD, NAMESPACE, pod("Alice_B"))
    assert found.value.http_status == 422


async def test_a_list_is_read_in_pages_and_is_of_one_moment(
    client: KubeClient, cluster: Cluster
) -> None:
    for number in range(7):
        await client.create(Kind.POD, NAMESPACE, pod(f"pod-{number}", hub="one"))
    await client.create(Kind.POD, NAMESPACE, pod("other"))
    before = len(cluster.calls)
    listed = await client.list(Kind.POD, NAMESPACE, labels="hub=one", limit=3)
    assert [item["metadata"]["name"] for item in listed.items] == [f"pod-{n}" for n in range(7)]
    assert len(cluster.calls) - before == 3
    assert int(listed.resource_version) > 0


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_what_fails_in_passing_is_tried_again(
    client: KubeClient, cluster: Cluster, status: int
) -> None:
    cluster.faults.fail_next(status, 2, verb="list", kind="pods", retry_after=0)
    listed = await client.list(Kind.POD, NAMESPACE)
    assert listed.items == []


async def test_an_answer_that_breaks_off_is_asked_for_again(
    client: KubeClient, cluster: Cluster
) -> None:
    cluster.faults.disconnect_mid_body(2, verb="get")
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    assert (await client.get(Kind.POD, NAMESPACE, "alice"))["kind"] == "Pod"


async def test_a_create_whose_answer_is_lost_is_not_made_twice_unasked(
    client: KubeClient, cluster: Cluster
) -> None:
    cluster.faults.disconnect_mid_body(1, verb="create")
    with pytest.raises(errors.ClusterUnreachable):
        await client.create(Kind.POD, NAMESPACE, pod("alice"))
    cluster.faults.disconnect_mid_body(1, verb="create")
    with pytest.raises(errors.AlreadyExists):
        await client.create(Kind.POD, NAMESPACE, pod("bob"), repeatable=True)


async def test_a_delete_whose_answer_is_lost_is_done(client: KubeClient, cluster: Cluster) -> None:
    await client.create(Kind.POD, NAMESPACE, pod("alice"))
    cluster.faults.disconnect_mid_body(1, verb="delete")
    await client.delete(Kind.POD, NAMESPACE, "alice", grace=0)
    with pytest.raises(errors.NotFoundInCluster):
        await client.delete(Kind.POD, NAMESPACE, "alice", grace=0)


async def test_a_missing_right_names_verb_resource_and_namespace(cluster: Cluster) -> None:
    path = cluster.user("hub", [], NAMESPACE)
    async with await KubeClient.open(Connection(kubeconfig=str(path))) as client:
        with pytest.raises(errors.Forbidden, match="list pods in namespace workspaces") as found:
            await client.list(Kind.POD, NAMESPACE)
        assert found.value.by_rights
        with pytest.raises(errors.Forbidden, match=r"create jobs\.batch in namespace workspaces"):
            await client.create(Kind.JOB, NAMESPACE, {})
        with pytest.raises(errors.Forbidden, match="watch events in all namespaces"):
            async with aclosing(client.watch(Kind.EVENT, None, resource_version="1")) as events:
                await anext(events)
        with pytest.raises(errors.Forbidden, match="create pods/exec alice in namespace works"):
            await client.exec(NAMESPACE, "alice", "workspace", ["id"], timeout=5)


async def test_credentials_that_are_not_known_name_their_file(cluster: Cluster) -> None:
    path = cluster.kubeconfig_of("stranger", token="wrong")
    async with await KubeClient.open(Connection(kubeconfig=str(path))) as client:
        with pytest.raises(errors.Unauthorized, match=f"kubeconfig {path}") as found:
            await client.list(Kind.POD, NAMESPACE)
    assert "wrong or have expired" in found.value.message
    assert cluster.url in found.value.message


async def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    path = tmp_path / "config"
    path.write_text(kubeconfig(url))
    options = Connection(kubeconfig=str(path), k8s_api_request_retry_timeout=0)
    async with await KubeClient.open(options) as client:
        with pytest.raises(errors.ClusterUnreachable, match=f"{url} cannot be reached") as found:
            await client.get(Kind.POD, NAMESPACE, "alice")
    assert isinstance(found.value.__cause__, aiohttp.ClientConnectorError)
    assert "get pods alice in namespace workspaces" in found.value.message


async def test_a_server_that_does_not_answer_in_time(cluster: Cluster) -> None:
    options = Connection(
        kubeconfig=str(cluster.kubeconfig),
        k8s_api_request_timeout=1,
        k8s_api_request_retry_timeout=0,
    )
    cluster.faults.slow(30)
    async with await KubeClient.open(options) as client:
        with pytest.raises(errors.ClusterUnreachable, match="did not answer in time"):
            await client.list(Kind.POD, NAMESPACE)
    cluster.faults.slow(0)


async def test_something_else_that_answers(tmp_path: Path) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    path = tmp_path / "config"
    path.write_text(kubeconfig(url))
    async with await KubeClient.open(Connection(kubeconfig=str(path))) as client:
        with pytest.raises(errors.ApiError, match="not a Kubernetes API server"):
            await client.list(Kind.POD, NAMESPACE)
    await runner.cleanup()


async def test_a_watch_tells_and_goes_on(client: KubeClient, cluster: Cluster) -> None:
    listed = await client.list(Kind.SECRET, NAMESPACE)
    events = client.watch(Kind.SECRET, NAMESPACE, resource_version=listed.resource_version)
    async with aclosing(events), asyncio.timeout(10):
        await client.create(Kind.SECRET, NAMESPACE, secret("one"))
        type, object = await anext(events)
        assert (type, object["metadata"]["name"]) == ("ADDED", "one")
        cluster.bookmark()
        type, object = await anext(events)
        assert type == "BOOKMARK"
        cluster.faults.drop_watches(politely=True)
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_a_version_that_is_too_old(client: KubeClient, cluster: Cluster) -> None:
    listed = await client.list(Kind.SECRET, NAMESPACE)
    await client.create(Kind.SECRET, NAMESPACE, secret("one"))
    cluster.compact()
    with pytest.raises(errors.Expired):
        async with aclosing(
            client.watch(Kind.SECRET, NAMESPACE, resource_version=listed.resource_version)
        ) as events:
            await anext(events)


async def _next(events: AsyncGenerator[Any, None]) -> Any:
    try:
        return await anext(events)
    except errors.ApiError as error:
        return error


async def test_a_watch_that_breaks(client: KubeClient, cluster: Cluster) -> None:
    tasks = Tasks()
    version = (await client.list(Kind.SECRET, NAMESPACE)).resource_version
    opened = asyncio.Event()
    events = client.watch(Kind.SECRET, NAMESPACE, resource_version=version, on_open=opened.set)
    async with aclosing(events):
        nothing = tasks.spawn(_next(events), "watch")
        await opened.wait()
        cluster.faults.drop_watches()
        assert isinstance(await nothing, errors.ClusterUnreachable)


async def test_a_watch_that_is_silent_for_too_long(client: KubeClient, cluster: Cluster) -> None:
    version = (await client.list(Kind.SECRET, NAMESPACE)).resource_version
    with cluster.faults.stale(), pytest.raises(errors.ClusterUnreachable, match="in time"):
        async with aclosing(
            client.watch(Kind.SECRET, NAMESPACE, resource_version=version, silence=0.1)
        ) as events:
            await anext(events)


async def test_a_log_is_read_and_followed(client: KubeClient, cluster: Cluster) -> None:
    cluster.kubelet.images["says:1"] = Image(log=("one", "two", "three"))
    await client.create(Kind.POD, NAMESPACE, pod("alice", "says:1"))
    await cluster.wait("pods", is_ready)
    async with aclosing(client.log(NAMESPACE, "alice", "workspace", tail=2)) as log:
        assert [line async for line in log] == ["two", "three"]
    async with aclosing(client.log(NAMESPACE, "alice", "workspace", follow=True)) as log:
        assert await anext(log) == "one"
        await client.delete(Kind.POD, NAMESPACE, "alice", grace=0)
        assert [line async for line in log] == ["two", "three"]
    with pytest.raises(errors.NotFoundInCluster, match="get pods/log alice"):
        async with aclosing(client.log(NAMESPACE, "alice", "workspace")) as log:
            await anext(log)


async def test_the_servers_version(client: KubeClient) -> None:
    assert (await client.version()).startswith("v1.")


async def test_the_version_of_now(client: KubeClient) -> None:
    made = await client.create(Kind.SECRET, NAMESPACE, secret("one"))
    version = await client.head(Kind.SECRET, NAMESPACE)
    assert int(version) >= int(made["metadata"]["resourceVersion"])
