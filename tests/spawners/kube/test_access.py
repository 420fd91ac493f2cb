"""The table of rights, asked of the test API server."""

from dataclasses import dataclass

import pytest

from kworkspace.spawners.kube import errors
from kworkspace.spawners.kube.access import RIGHTS, check, rules
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from kworkspace.spawners.kube.kinds import Kind
from tests.kube_api.cluster import Cluster
from tests.spawners.kube.objects import NAMESPACE


@dataclass(frozen=True)
class Options:
    """What is configured."""

    namespace: str = NAMESPACE
    enable_user_namespaces: bool = False


NEEDED = [right for right in RIGHTS if right.needed(Options())]


async def _client(cluster: Cluster, rights: list[dict[str, object]], place: str) -> KubeClient:
    kubeconfig = cluster.user("hub", rights, place)
    return await KubeClient.open(Connection(kubeconfig=str(kubeconfig)))


async def test_the_role_that_is_made_of_the_table_is_enough(cluster: Cluster) -> None:
    async with await _client(cluster, rules(NEEDED), NAMESPACE) as client:
        found = await check(client, Options())
    assert all(each.ok for each in found)
    assert len(found) == sum(len(right.verbs) for right in NEEDED)
    assert {each.where for each in found} == {"namespace workspaces"}


async def test_what_is_missing_is_named(cluster: Cluster) -> None:
    fewer = [right for right in NEEDED if right.subresource != "exec" and right.required]
    async with await _client(cluster, rules(fewer), NAMESPACE) as client:
        found = await check(client, Options())
    missing = [each for each in found if not each.ok]
    assert [each.what for each in missing] == [
        "create pods/exec",
        "get pods/exec",
        "list pods.metrics.k8s.io",
    ]
    assert [each.required for each in missing] == [True, True, False]


async def test_namespaces_of_users_need_rights_everywhere(cluster: Cluster) -> None:
    options = Options(enable_user_namespaces=True)
    async with await _client(cluster, rules(), NAMESPACE) as client:
        found = await check(client, options)
    assert {each.where for each in found} == {"all namespaces"}
    assert not any(each.ok for each in found)
    async with await _client(cluster, rules(), "") as client:
        found = await check(client, options)
    assert all(each.ok for each in found)
    assert "create namespaces" in [each.what for each in found]


async def test_secrets_cannot_be_read(cluster: Cluster) -> None:
    async with await _client(cluster, rules(), NAMESPACE) as client:
        with pytest.raises(errors.Forbidden):
            await client.list(Kind.SECRET, NAMESPACE)
        with pytest.raises(errors.Forbidden):
            await client.get(Kind.SECRET, NAMESPACE, "any")


async def test_who_is_unknown_cannot_ask(cluster: Cluster) -> None:
    path = cluster.kubeconfig_of("stranger", token="wrong")
    async with await KubeClient.open(Connection(kubeconfig=str(path))) as client:
        with pytest.raises(errors.Unauthorized):
            await check(client, Options())
