"""The whole server: what the suite's tests build on."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.kube_api.clients import PODS, Client, client_of, is_ready, pod
from tests.kube_api.cluster import Cluster, serve


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


async def test_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    async with serve(tmp_path, cheap=0.0, is_tls=True) as cluster, client_of(cluster) as client:
        assert cluster.authority is not None
        context = ssl.create_default_context(cafile=cluster.authority)
        url, headers = f"{cluster.url}{PODS}", client.headers
        async with client.session.get(url, headers=headers, ssl=context) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.call("GET", PODS)


async def test_a_cluster_in_a_process_of_its_own(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.kube_api", str(tmp_path), "--cheap", "0"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent.parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    async with aiohttp.ClientSession() as session:
        client = Client(session, Path(told["kubeconfig"]))
        assert (await client.call("POST", PODS, pod()))[0] == 201
    process.stdin.close()
    assert await process.wait() == 0


async def test_a_user_has_the_rights_of_its_rules(cluster: Cluster) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    async with client_of(cluster, cluster.user("hub", rules, "workspaces")) as client:
        assert (await client.call("GET", PODS))[0] == 200
        status, body = await client.call("POST", PODS, pod())
    assert status == 403
    assert body["message"] == (
        'pods is forbidden: User "hub" cannot create resource "pods" in API group "" in the'
        ' namespace "workspaces"'
    )
    assert [call.verb for call in cluster.calls] == ["list", "create"]
