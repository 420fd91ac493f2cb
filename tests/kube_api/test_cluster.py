"""A client without a library, against the whole server: what the suite's tests build on."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kube_api.cluster import Cluster, serve
from tests.kube_api.objects import Object


class Client:
    """HTTP calls with a user's token."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self.url = cluster.url
        self.session = session
        self.headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    async def call(
        self, method: str, path: str, body: Any = None, *, type: str = "application/json"
    ) -> tuple[int, Any]:
        """Make a call; return status and decoded body."""
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        async with self.session.request(
            method,
            self.url + path,
            data=None if body is None else data,
            headers=self.headers | ({} if body is None else {"Content-Type": type}),
        ) as response:
            text = await response.text()
            if response.content_type == "application/json":
                return response.status, json.loads(text)
            return response.status, text


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serve(tmp_path, cheap=0.0) as served:
        yield served


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(cluster, session, cluster.kubeconfig)


def pod(name: str = "alice", **spec: Any) -> Object:
    container = {"name": "workspace", "image": spec.pop("image", "ubuntu:24.04")}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 3} | spec,
    }


PODS = "/api/v1/namespaces/workspaces/pods"


def is_ready(thing: Object) -> bool:
    conditions = thing["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def test_a_pod_becomes_ready_and_is_deleted(cluster: Cluster, client: Client) -> None:
    status, made = await client.call("POST", PODS, pod())
    assert status == 201
    assert made["status"]["phase"] == "Pending"
    ready = await cluster.wait("pods", is_ready)
    assert ready["status"]["podIP"].startswith("127.")
    status, _ = await client.call("DELETE", f"{PODS}/alice")
    assert status == 200
    await cluster.wait_gone("pods", "workspaces", "alice")
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404


async def test_a_user_has_the_rights_of_its_rules(cluster: Cluster) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    kubeconfig = cluster.user("hub", rules, "workspaces")
    async with aiohttp.ClientSession() as session:
        client = Client(cluster, session, kubeconfig)
        assert (await client.call("GET", PODS))[0] == 200
        status, body = await client.call("POST", PODS, pod())
    assert status == 403
    assert body["message"] == (
        'pods is forbidden: User "hub" cannot create resource "pods" in API group "" in the'
        ' namespace "workspaces"'
    )
    assert [call.verb for call in cluster.calls] == ["list", "create"]
