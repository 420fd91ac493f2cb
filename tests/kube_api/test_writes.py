"""Creating and changing: names, preconditions, patches, dry runs, what is refused."""

import json
from typing import Any

import pytest

from tests.kube_api.clients import CLAIMS, PODS, SECRETS, Client, claim, pod, secret
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def causes(body: Object) -> dict[str, str]:
    return {cause["field"]: cause["message"] for cause in body["details"]["causes"]}


async def test_generated_names_differ(client: Client) -> None:
    thing = secret()
    thing["metadata"] = {"generateName": "key-"}
    made = [(await client.call("POST", SECRETS, thing))[1]["metadata"]["name"] for _ in "ab"]
    assert made[0] != made[1]
    assert all(name.startswith("key-") and len(name) == 9 for name in made)


async def test_a_dry_run_changes_nothing(cluster: Cluster, client: Client) -> None:
    before = cluster.store.revision
    status, made = await client.call("POST", f"{PODS}?dryRun=All", pod())
    assert (status, made["metadata"]["name"]) == (201, "alice")
    assert "resourceVersion" not in made["metadata"]
    assert cluster.store.revision == before
    assert (await client.call("GET", f"{PODS}/alice"))[0] == 404


async def test_what_changes_nothing_makes_no_version(cluster: Cluster, client: Client) -> None:
    _, made = await client.call("POST", SECRETS, secret(key="x"))
    before = cluster.store.revision
    _, put = await client.call("PUT", f"{SECRETS}/alice", made)
    _, patched = await client.call("PATCH", f"{SECRETS}/alice", {"data": {}}, type=MERGE)
    assert put["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]
    assert cluster.store.revision == before


async def test_an_old_version_does_not_overwrite(client: Client) -> None:
    _, made = await client.call("POST", SECRETS, secret(key="x"))
    made["data"] = {"key": "eQ=="}
    status, _ = await client.call("PUT", f"{SECRETS}/alice", made)
    assert status == 200
    made["data"] = {"key": "eg=="}
    status, body = await client.call("PUT", f"{SECRETS}/alice", made)
    assert (status, body["reason"]) == (409, "Conflict")
    change = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {}}
    status, body = await client.call("PATCH", f"{SECRETS}/alice", change, type=MERGE)
    assert (status, body["reason"]) == (409, "Conflict")


async def test_another_incarnation_is_not_overwritten(client: Client) -> None:
    _, made = await client.call("POST", SECRETS, secret(key="x"))
    made["metadata"] |= {"uid": "another", "resourceVersion": ""}
    status, body = await client.call("PUT", f"{SECRETS}/alice", made)
    assert (status, body["reason"]) == (409, "Conflict")
    assert "UID in precondition: another" in body["message"]


async def test_merge_patch(client: Client) -> None:
    await client.call("POST", SECRETS, secret(a="1", b="2"))
    _, found = await client.call(
        "PATCH", f"{SECRETS}/alice", {"data": {"a": None, "c": "Mw=="}}, type=MERGE
    )
    assert found["data"] == {"b": "Mg==", "c": "Mw=="}


async def test_strategic_merge_patch_merges_by_keys(client: Client) -> None:
    job = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {
                    "containers": [
                        {"name": "x", "image": "x:1", "env": [{"name": "A", "value": "1"}]},
                        {"name": "y", "image": "y:1"},
                    ]
                },
            },
        },
    }
    path = "/apis/apps/v1/namespaces/workspaces/deployments"
    assert (await client.call("POST", path, job))[0] == 201
    containers = [
        {"name": "x", "env": [{"name": "B", "value": "2"}]},
        {"name": "y", "$patch": "delete"},
        {"name": "z", "image": "z:1"},
    ]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    _, found = await client.call("PATCH", f"{path}/d", change, type=STRATEGIC)
    merged = found["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in merged] == ["x", "z"]
    assert merged[0]["image"] == "x:1"
    assert [one["name"] for one in merged[0]["env"]] == ["A", "B"]


async def test_json_patch(client: Client) -> None:
    await client.call("POST", SECRETS, secret(a="1"))
    steps: list[Object] = [
        {"op": "test", "path": "/data/a", "value": "MQ=="},
        {"op": "add", "path": "/metadata/labels", "value": {"x/y": "1"}},
        {"op": "replace", "path": "/metadata/labels/x~1y", "value": "2"},
    ]
    status, found = await client.call("PATCH", f"{SECRETS}/alice", steps, type=JSON_PATCH)
    assert (status, found["metadata"]["labels"]) == (200, {"x/y": "2"})
    status, body = await client.call(
        "PATCH", f"{SECRETS}/alice", [steps[0] | {"value": "no"}], type=JSON_PATCH
    )
    assert (status, body["reason"]) == (422, "Invalid")


async def test_an_unknown_media_type(client: Client) -> None:
    await client.call("POST", SECRETS, secret())
    for method, path in (("PATCH", f"{SECRETS}/alice"), ("POST", SECRETS)):
        status, body = await client.call(method, path, {}, type="text/xml")
        assert (status, body["reason"]) == (415, "UnsupportedMediaType")


async def test_methods_and_paths_that_are_none(client: Client) -> None:
    status, body = await client.call("PUT", SECRETS, {})
    assert (status, body["reason"]) == (405, "MethodNotAllowed")
    for path in ("/api/v2/pods", "/apis/x/v1/y", "/api/v1/nothing", f"{SECRETS}/a/log"):
        assert await client.call("GET", path) == (404, "404 page not found\n")
    status, body = await client.call("POST", SECRETS, b"{")
    assert (status, body["reason"]) == (400, "BadRequest")


async def test_a_body_of_another_kind(client: Client) -> None:
    status, body = await client.call("POST", SECRETS, pod())
    assert (status, body["reason"]) == (400, "BadRequest")
    assert body["message"].startswith('Pod in version "v1" cannot be handled as a Secret')
    thing = secret()
    thing["metadata"]["namespace"] = "other"
    assert (await client.call("POST", SECRETS, thing))[0] == 400


async def test_a_namespace_that_is_not_there(client: Client) -> None:
    status, body = await client.call("POST", "/api/v1/namespaces/nowhere/secrets", secret())
    assert (status, body["message"]) == (404, 'namespaces "nowhere" not found')


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"image": ""}, "spec.containers[0].image", "Required value"),
        ({"name": "A"}, "spec.containers[0].name", "Invalid value"),
        ({"imagePullPolicy": "Maybe"}, "spec.containers[0].imagePullPolicy", "Unsupported value"),
        ({"ports": [{"containerPort": 0}]}, "spec.containers[0].ports[0].containerPort", "between"),
        (
            {"volumeMounts": [{"name": "no", "mountPath": "/x"}]},
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "no"',
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            "spec.containers[0].resources.requests",
            "must be less than or equal to cpu limit of 1",
        ),
        ({"env": [{"name": ""}]}, "spec.containers[0].env[0].name", "Required value"),
    ],
)
async def test_a_pod_that_is_invalid(
    change: Object, field: str, words: str, client: Client
) -> None:
    manifest = pod()
    manifest["spec"]["containers"][0] |= change
    status, body = await client.call("POST", PODS, manifest)
    assert (status, body["reason"]) == (422, "Invalid"), body
    assert words in causes(body)[field]


@pytest.mark.parametrize(
    "change", [{"image": 1}, {"ports": {}}, {"resources": {"limits": {"memory": "1 GB"}}}]
)
async def test_a_pod_that_does_not_decode(change: Object, client: Client) -> None:
    manifest = pod()
    manifest["spec"]["containers"][0] |= change
    status, body = await client.call("POST", PODS, manifest)
    assert (status, body["reason"]) == (400, "BadRequest")


async def test_labels_and_missing_parts(client: Client) -> None:
    thing = secret()
    thing["metadata"]["labels"] = {"user": "Ä", "x y": "z", "long": "a" * 64}
    status, body = await client.call("POST", SECRETS, thing)
    assert status == 422
    assert [cause["field"] for cause in body["details"]["causes"]] == ["metadata.labels"] * 3
    status, body = await client.call("POST", PODS, pod(containers=[]))
    assert (status, causes(body)) == (422, {"spec.containers": "Required value"})
    thing["metadata"] = {}
    status, body = await client.call("POST", SECRETS, thing)
    assert "name or generateName is required" in body["message"]


async def test_a_bound_claim_grows_and_never_shrinks(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim(storageClassName="immediate"))
    await cluster.wait("persistentvolumeclaims", lambda one: one["status"]["phase"] == "Bound")

    def size(text: str) -> Any:
        change = {"spec": {"resources": {"requests": {"storage": text}}}}
        return client.call("PATCH", f"{CLAIMS}/home", change, type=MERGE)

    assert (await size("20Gi"))[0] == 200
    await cluster.wait(
        "persistentvolumeclaims", lambda one: one["status"]["capacity"]["storage"] == "20Gi"
    )
    status, body = await size("5Gi")
    assert status == 422
    assert causes(body) == {
        "spec.resources.requests.storage": "Forbidden: field can not be less than status.capacity"
    }
    change = {"spec": {"accessModes": ["ReadWriteMany"]}}
    status, body = await client.call("PATCH", f"{CLAIMS}/home", change, type=MERGE)
    assert status == 422
    assert "spec is immutable after creation" in body["message"]


async def test_a_class_that_does_not_grow(cluster: Cluster, client: Client) -> None:
    cluster.edit(
        "storageclasses", "", "immediate", lambda one: one.update({"allowVolumeExpansion": False})
    )
    await client.call("POST", CLAIMS, claim(storageClassName="immediate"))
    await cluster.wait("persistentvolumeclaims", lambda one: one["status"]["phase"] == "Bound")
    change = {"spec": {"resources": {"requests": {"storage": "20Gi"}}}}
    status, body = await client.call("PATCH", f"{CLAIMS}/home", change, type=MERGE)
    assert (status, body["reason"]) == (403, "Forbidden")
    assert "must support resize" in body["message"]


async def test_the_status_is_a_thing_of_its_own(cluster: Cluster, client: Client) -> None:
    cluster.scheduler.paused = True
    await client.call("POST", PODS, pod())
    change = json.dumps({"status": {"message": "hello"}, "metadata": {"labels": {"a": "b"}}})
    _, found = await client.call("PATCH", f"{PODS}/alice", change, type=MERGE)
    assert "message" not in found["status"]
    _, found = await client.call("PATCH", f"{PODS}/alice/status", change, type=MERGE)
    assert found["status"]["message"] == "hello"
    assert found["spec"]["containers"][0]["image"] == "ubuntu:24.04"


async def test_a_secret_may_not_be_too_large(client: Client) -> None:
    status, body = await client.call("POST", SECRETS, secret(key="x" * (1 << 20) + "y"))
    assert status == 422
    assert causes(body) == {"data": "Too long: may not be more than 1048576 bytes"}
