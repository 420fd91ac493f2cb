"""Server-side apply: who owns which field, and what happens to fields that nobody wants."""

import json
from typing import Any

from tests.kube_api.clients import PODS, SECRETS, Client, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object

MERGE = "application/merge-patch+json"
SERVICES = "/api/v1/namespaces/workspaces/services"


async def apply(
    client: Client, path: str, body: Object, *, manager: str = "kworkspace", force: bool = False
) -> tuple[int, Any]:
    query = f"?fieldManager={manager}" + ("&force=true" if force else "")
    return await client.call(
        "PATCH", path + query, json.dumps(body), type="application/apply-patch+yaml"
    )


def data(**pairs: str) -> Object:
    thing = secret()
    del thing["stringData"]
    return thing | {"data": pairs}


def owners(thing: Object) -> dict[str, str]:
    return {one["manager"]: one["operation"] for one in thing["metadata"]["managedFields"]}


async def test_apply_makes_and_changes_and_takes_away(client: Client) -> None:
    path = f"{SECRETS}/alice"
    status, made = await apply(client, path, data(a="YQ==", b="Yg=="))
    assert (status, made["type"]) == (201, "Opaque")
    assert owners(made) == {"kworkspace": "Apply"}
    status, found = await apply(client, path, data(a="eA=="))
    assert (status, found["data"]) == (200, {"a": "eA=="})


async def test_apply_again_changes_nothing(cluster: Cluster, client: Client) -> None:
    _, made = await apply(client, f"{SECRETS}/alice", data(a="YQ=="))
    before = cluster.store.revision
    _, again = await apply(client, f"{SECRETS}/alice", data(a="YQ=="))
    assert again == made
    assert cluster.store.revision == before


async def test_what_the_first_one_did_not_say_is_left_alone(client: Client) -> None:
    await client.call("POST", SECRETS, data(host="aA==", a="YQ=="))
    _, found = await apply(client, f"{SECRETS}/alice", data(b="Yg=="))
    assert found["data"] == {"host": "aA==", "a": "YQ==", "b": "Yg=="}
    _, found = await apply(client, f"{SECRETS}/alice", data())
    assert found["data"] == {"host": "aA==", "a": "YQ=="}


async def test_a_conflict_names_the_other_manager(client: Client) -> None:
    query = "?fieldManager=kubectl-create"
    await client.call("POST", SECRETS + query, data(a="YQ=="))
    status, body = await apply(client, f"{SECRETS}/alice", data(a="eA=="))
    assert (status, body["reason"]) == (409, "Conflict")
    assert body["message"] == (
        'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.a'
    )
    (cause,) = body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".data.a")
    status, found = await apply(client, f"{SECRETS}/alice", data(a="eA=="), force=True)
    assert (status, found["data"]) == (200, {"a": "eA=="})
    _, found = await apply(client, f"{SECRETS}/alice", data())
    assert "a" not in found.get("data", {})


async def test_two_may_own_what_they_agree_on(client: Client) -> None:
    await apply(client, f"{SECRETS}/alice", data(a="YQ=="), manager="one")
    status, _ = await apply(client, f"{SECRETS}/alice", data(a="YQ=="), manager="two")
    assert status == 200
    _, found = await apply(client, f"{SECRETS}/alice", data(), manager="one")
    assert found["data"] == {"a": "YQ=="}
    _, found = await apply(client, f"{SECRETS}/alice", data(), manager="two")
    assert "a" not in found.get("data", {})


async def test_a_plain_write_takes_a_field_over(client: Client) -> None:
    await apply(client, f"{SECRETS}/alice", data(a="YQ=="))
    await client.call("PATCH", f"{SECRETS}/alice", {"data": {"a": "eA=="}}, type=MERGE)
    status, _ = await apply(client, f"{SECRETS}/alice", data(a="YQ=="))
    assert status == 409


async def test_string_data_is_not_forgotten_by_leaving_it_out(client: Client) -> None:
    """As documented for the real server: stringData and apply do not work well together."""
    await apply(client, f"{SECRETS}/alice", secret(a="1", b="2"))
    _, found = await apply(client, f"{SECRETS}/alice", secret(a="1"))
    assert set(found["data"]) == {"a", "b"}


async def test_lists_have_keys(client: Client) -> None:
    def service(**ports: int) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "alice"},
            "spec": {"ports": [{"name": name, "port": port} for name, port in ports.items()]},
        }

    await apply(client, f"{SERVICES}/alice", service(ssh=22), manager="one")
    _, found = await apply(client, f"{SERVICES}/alice", service(web=80), manager="two")
    assert [port["port"] for port in found["spec"]["ports"]] == [22, 80]
    address = found["spec"]["clusterIP"]
    _, found = await apply(client, f"{SERVICES}/alice", service(ssh=23), manager="one")
    assert sorted(port["port"] for port in found["spec"]["ports"]) == [23, 80]
    assert found["spec"]["clusterIP"] == address


async def test_labels_of_a_claim_are_added_to(client: Client) -> None:
    thing = secret(key="x")
    thing["metadata"]["labels"] = {"theirs": "1"}
    await client.call("POST", SECRETS, thing)
    ours: Object = {"apiVersion": "v1", "kind": "Secret"}
    ours["metadata"] = {"name": "alice", "labels": {"ours": "2"}}
    _, found = await apply(client, f"{SECRETS}/alice", ours)
    assert found["metadata"]["labels"] == {"theirs": "1", "ours": "2"}


async def test_a_manager_must_have_a_name(client: Client) -> None:
    status, body = await client.call(
        "PATCH", f"{SECRETS}/alice", json.dumps(data()), type="application/apply-patch+yaml"
    )
    assert status == 422
    assert "fieldManager: Required value" in body["message"]


async def test_a_pod_that_is_going_is_not_changed(cluster: Cluster, client: Client) -> None:
    cluster.kubelet.images["slow:1"] = cluster.kubelet.images["ignores-sigterm:1"]
    manifest = pod(image="slow:1")
    await apply(client, f"{PODS}/alice", manifest)
    await cluster.wait("pods", lambda one: one["status"]["phase"] == "Running")
    _, going = await client.call("DELETE", f"{PODS}/alice")
    await cluster.wait(
        "pods",
        lambda one: one["status"].get("observedGeneration") == going["metadata"]["generation"],
    )
    before = cluster.store.revision
    status, found = await apply(client, f"{PODS}/alice", manifest)
    assert status == 200
    assert found["metadata"]["deletionTimestamp"] == going["metadata"]["deletionTimestamp"]
    assert cluster.store.revision == before
    await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=0")
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404
