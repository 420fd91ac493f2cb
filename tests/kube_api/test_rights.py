"""RBAC: rules given by a test, Roles in the cluster, and the reviews of one's own rights."""

from typing import Any

import aiohttp
import pytest

from tests.kube_api.clients import PODS, SECRETS, Client, client_of, exec_in, is_ready, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object

REVIEWS = "/apis/authorization.k8s.io/v1"


def rule(resources: str, verbs: str, group: str = "", **more: Any) -> Object:
    return {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    } | more


async def test_rules_hold_in_their_namespace(cluster: Cluster, client: Client) -> None:
    cluster.add_namespace("other")
    user = cluster.user("hub", [rule("secrets", "create patch delete")], "workspaces")
    async with client_of(cluster, user) as hub:
        assert (await hub.call("POST", SECRETS, secret()))[0] == 201
        for method, path, verb in (
            ("GET", f"{SECRETS}/alice", "get"),
            ("GET", SECRETS, "list"),
            ("GET", f"{SECRETS}?watch=1", "watch"),
            ("PUT", f"{SECRETS}/alice", "update"),
        ):
            status, body = await hub.call(method, path, None if method == "GET" else {})
            assert status == 403
            assert f'User "hub" cannot {verb} resource "secrets"' in body["message"]
        status, body = await hub.call("POST", "/api/v1/namespaces/other/secrets", secret())
        assert 'in the namespace "other"' in body["message"]
        status, body = await hub.call("GET", "/api/v1/pods")
        assert body["message"].endswith('in API group "" at the cluster scope')
        status, body = await hub.call("GET", "/apis/batch/v1/namespaces/other/jobs")
        assert body["message"].startswith("jobs.batch is forbidden")
        assert body["details"] == {"group": "batch", "kind": "jobs"}


async def test_names_limit_a_rule(cluster: Cluster, client: Client) -> None:
    await client.call("POST", SECRETS, secret("a"))
    await client.call("POST", SECRETS, secret("b"))
    user = cluster.user("hub", [rule("secrets", "get", resourceNames=["a"])])
    async with client_of(cluster, user) as hub:
        assert (await hub.call("GET", f"{SECRETS}/a"))[0] == 200
        assert (await hub.call("GET", f"{SECRETS}/b"))[0] == 403


async def test_apply_needs_no_right_to_get(cluster: Cluster) -> None:
    user = cluster.user("hub", [rule("secrets", "create patch")])
    thing = secret()
    async with client_of(cluster, user) as hub:
        for status in (201, 200):
            found, body = await hub.call(
                "PATCH",
                f"{SECRETS}/alice?fieldManager=x&force=true",
                thing,
                type="application/apply-patch+yaml",
            )
            assert found == status, body


@pytest.mark.parametrize(("verbs", "status"), [("get", 403), ("create", 403), ("create get", 500)])
async def test_exec_needs_both_rights(
    verbs: str, status: int, cluster: Cluster, client: Client
) -> None:
    await client.call("POST", PODS, pod())
    await cluster.wait("pods", is_ready)
    user = cluster.user("hub", [rule("pods/exec", verbs)])
    async with client_of(cluster, user) as hub:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await exec_in(hub, "id")
    assert caught.value.status == status  # with both rights only the program is missing


async def test_roles_of_the_cluster_count(cluster: Cluster) -> None:
    group = "rbac.authorization.k8s.io"
    cluster.add_namespace("hub")
    metadata = {"name": "hub", "namespace": "workspaces"}
    cluster.add(
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [rule("pods", "list")],
        }
    )
    cluster.add(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "hub"},
            "subjects": [{"kind": "ServiceAccount", "name": "hub", "namespace": "hub"}],
        }
    )
    async with client_of(cluster, cluster.account("hub", "hub")) as hub:
        assert (await hub.call("GET", PODS))[0] == 200
        assert (await hub.call("GET", "/api/v1/namespaces/default/pods"))[0] == 403


async def test_reviews(cluster: Cluster) -> None:
    user = cluster.user("hub", [rule("pods pods/exec", "get")], "workspaces")

    def asked(**attributes: str) -> Object:
        return {"spec": {"resourceAttributes": {"namespace": "workspaces"} | attributes}}

    async with client_of(cluster, user) as hub:
        path = f"{REVIEWS}/selfsubjectaccessreviews"
        for attributes, allowed in (
            ({"verb": "get", "resource": "pods"}, True),
            ({"verb": "get", "resource": "pods", "subresource": "exec"}, True),
            ({"verb": "get", "resource": "pods", "subresource": "log"}, False),
            ({"verb": "list", "resource": "pods"}, False),
            ({"verb": "get", "resource": "pods", "namespace": "default"}, False),
        ):
            status, body = await hub.call("POST", path, asked(**attributes))
            assert status == 201
            assert body["status"]["allowed"] is allowed, attributes
        _, body = await hub.call(
            "POST", f"{REVIEWS}/selfsubjectrulesreviews", {"spec": {"namespace": "workspaces"}}
        )
        assert body["status"]["resourceRules"] == [rule("pods pods/exec", "get")]


async def test_metrics_installed_or_not(cluster: Cluster, client: Client) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/namespaces/workspaces/pods"
    assert await client.call("GET", path) == (404, "404 page not found\n")
    cluster.metrics.installed = True
    cluster.metrics.usage["workspaces", "alice"] = {"cpu": "12m", "memory": "9Mi"}
    await client.call("POST", PODS, pod())
    _, found = await client.call("GET", path)
    assert found["kind"] == "PodMetricsList"
    (one,) = found["items"]
    assert one["containers"] == [{"name": "workspace", "usage": {"cpu": "12m", "memory": "9Mi"}}]
    async with client_of(cluster, cluster.user("hub", [])) as hub:
        status, body = await hub.call("GET", path)
    assert status == 403
    assert body["message"].startswith("pods.metrics.k8s.io is forbidden")
