"""The whole server: what the suite's tests build on."""

from tests.kube_api.clients import PODS, Client, client_of, is_ready, pod
from tests.kube_api.cluster import Cluster


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
    async with client_of(cluster, cluster.user("hub", rules, "workspaces")) as client:
        assert (await client.call("GET", PODS))[0] == 200
        status, body = await client.call("POST", PODS, pod())
    assert status == 403
    assert body["message"] == (
        'pods is forbidden: User "hub" cannot create resource "pods" in API group "" in the'
        ' namespace "workspaces"'
    )
    assert [call.verb for call in cluster.calls] == ["list", "create"]
