"""Deletion: preconditions, grace, finalizers, owners, eviction, namespaces."""

import pytest

from tests.kube_api.clients import CLAIMS, PODS, SECRETS, Client, claim, is_ready, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.kube_api.objects import Object, dig

OPTIONS: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}


async def test_another_incarnation_is_not_deleted(cluster: Cluster, client: Client) -> None:
    _, made = await client.call("POST", PODS, pod())
    options = OPTIONS | {"preconditions": {"uid": "another"}}
    status, body = await client.call("DELETE", f"{PODS}/alice", options)
    assert (status, body["reason"]) == (409, "Conflict")
    assert "the UID in the precondition (another) does not match" in body["message"]
    options = OPTIONS | {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await client.call("DELETE", f"{PODS}/alice", options))[0] == 200


async def test_a_secret_is_gone_at_once(client: Client) -> None:
    _, made = await client.call("POST", SECRETS, secret())
    status, body = await client.call("DELETE", f"{SECRETS}/alice")
    assert (status, body["status"]) == (200, "Success")
    uid = made["metadata"]["uid"]
    assert body["details"] == {"name": "alice", "kind": "secrets", "uid": uid}
    assert (await client.call("DELETE", f"{SECRETS}/alice"))[0] == 404


async def test_the_name_is_free_when_the_pod_is_gone(cluster: Cluster, client: Client) -> None:
    cluster.kubelet.images["slow:1"] = Image(stop_seconds=0.1)
    await client.call("POST", PODS, pod(image="slow:1"))
    await cluster.wait("pods", is_ready)
    _, first = await client.call("DELETE", f"{PODS}/alice")
    assert first["metadata"]["deletionGracePeriodSeconds"] == 3
    status, body = await client.call("POST", PODS, pod())
    assert (status, body["reason"]) == (409, "AlreadyExists")
    await cluster.wait_gone("pods", "workspaces", "alice")
    _, second = await client.call("POST", PODS, pod())
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_a_shorter_grace_period_counts(cluster: Cluster, client: Client) -> None:
    await client.call(
        "POST", PODS, pod(image="ignores-sigterm:1", terminationGracePeriodSeconds=600)
    )
    await cluster.wait("pods", is_ready)
    await client.call("DELETE", f"{PODS}/alice")
    _, again = await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=900")
    assert again["metadata"]["deletionGracePeriodSeconds"] == 600
    await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=1")
    await cluster.wait_gone("pods", "workspaces", "alice")


async def test_force_does_not_wait_for_the_node(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(image="ignores-sigterm:1"))
    await cluster.wait("pods", is_ready)
    await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=0")
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404


async def test_a_claim_in_use_stays_until_its_pod_is_gone(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim())
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    await client.call("POST", PODS, pod(volumes=volumes))
    await cluster.wait("pods", is_ready)
    status, body = await client.call("DELETE", f"{CLAIMS}/home")
    assert status == 200
    assert body["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "deletionTimestamp" in body["metadata"]
    assert (await client.call("GET", f"{CLAIMS}/home"))[0] == 200
    await client.call("DELETE", f"{PODS}/alice")
    await cluster.wait_gone("persistentvolumeclaims", "workspaces", "home")
    assert cluster.every("persistentvolumes") == []


async def test_what_is_owned_goes_with_its_owner(cluster: Cluster, client: Client) -> None:
    _, owner = await client.call("POST", SECRETS, secret("owner"))
    owned = secret("owned")
    reference = {"apiVersion": "v1", "kind": "Secret", "name": "owner"}
    owned["metadata"]["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
    await client.call("POST", SECRETS, owned)
    await client.call("DELETE", f"{SECRETS}/owner")
    await cluster.wait_gone("secrets", "workspaces", "owned")


@pytest.mark.parametrize("allowed", [0, 1])
async def test_a_budget_may_forbid_an_eviction(
    allowed: int, cluster: Cluster, client: Client
) -> None:
    manifest = pod()
    manifest["metadata"]["labels"] = {"app": "x"}
    await client.call("POST", PODS, manifest)
    await cluster.wait("pods", is_ready)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "workspaces"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}},
    }
    cluster.add(budget)
    cluster.edit(
        "poddisruptionbudgets",
        "workspaces",
        "b",
        lambda one: one.update({"status": {"disruptionsAllowed": allowed}}),
    )
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "alice"}}
    status, body = await client.call("POST", f"{PODS}/alice/eviction", eviction)
    assert status == (201 if allowed else 429)
    assert body["status"] == ("Success" if allowed else "Failure")


async def test_a_namespace_takes_all_with_it(cluster: Cluster, client: Client) -> None:
    await client.call("POST", SECRETS, secret())
    await client.call("POST", CLAIMS, claim())
    await client.call("POST", PODS, pod(image="ignores-sigterm:1"))
    await cluster.wait("pods", is_ready)
    _, body = await client.call("DELETE", "/api/v1/namespaces/workspaces")
    assert body["status"]["phase"] == "Terminating"
    status, refused = await client.call("POST", SECRETS, secret("more"))
    assert (status, refused["reason"]) == (403, "Forbidden")
    await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=0")
    await cluster.wait_gone("namespaces", "", "workspaces")
    assert cluster.every("secrets", "workspaces") == []


async def test_a_collection_is_deleted_by_its_labels(cluster: Cluster, client: Client) -> None:
    for name, value in (("a", "1"), ("b", "2")):
        thing = secret(name)
        thing["metadata"]["labels"] = {"x": value}
        await client.call("POST", SECRETS, thing)
    await client.call("DELETE", f"{SECRETS}?labelSelector=x%3D1")
    assert [one["metadata"]["name"] for one in cluster.every("secrets", "workspaces")] == ["b"]


async def test_a_finalizer_of_ours_holds_a_pod(cluster: Cluster, client: Client) -> None:
    manifest = pod()
    manifest["metadata"]["finalizers"] = ["example.com/wait"]
    await client.call("POST", PODS, manifest)
    await cluster.wait("pods", is_ready)
    await client.call("DELETE", f"{PODS}/alice")
    await cluster.wait("pods", lambda one: dig(one, "metadata", "deletionGracePeriodSeconds") == 0)
    await client.call(
        "PATCH",
        f"{PODS}/alice",
        {"metadata": {"finalizers": None}},
        type="application/merge-patch+json",
    )
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404
