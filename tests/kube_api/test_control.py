"""Scheduler, claims and jobs: what the controllers make of objects."""

from typing import Any

from tests.kube_api.clients import CLAIMS, PODS, Client, claim, is_ready, pod
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.kube_api.objects import Object, dig
from tests.kube_api.seeds import node, quota

JOBS = "/apis/batch/v1/namespaces/workspaces/jobs"
UNHELPFUL = (
    " no new claims to deallocate, preemption: 0/1 nodes are available:"
    " 1 Preemption is not helpful for scheduling."
)


def wanting(**resources: str) -> Object:
    """A pod that asks for extended resources; `__` stands for `/` and `_` for `.`."""
    found = {key.replace("__", "/").replace("_", "."): value for key, value in resources.items()}
    manifest = pod()
    manifest["spec"]["containers"][0]["resources"] = {"limits": found}
    return manifest


def unscheduled(thing: Object) -> str:
    for one in dig(thing, "status", "conditions", default=[]):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return str(one["message"])
    return ""


async def test_a_pod_waits_for_a_node_with_a_gpu(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, wanting(nvidia_com__gpu="1"))
    found = await cluster.wait("pods", lambda one: bool(unscheduled(one)))
    assert unscheduled(found) == (
        f"0/1 nodes are available: 1 Insufficient nvidia.com/gpu.{UNHELPFUL}"
    )
    cluster.add(node("gpu1", nvidia_com__gpu="1"))
    ready = await cluster.wait("pods", is_ready)
    assert ready["spec"]["nodeName"] == "gpu1"


async def test_a_pod_waits_for_another_to_end(cluster: Cluster, client: Client) -> None:
    first, second = wanting(cpu="40"), wanting(cpu="40")
    second["metadata"]["name"] = "bob"
    await client.call("POST", PODS, first)
    await cluster.wait("pods", is_ready)
    await client.call("POST", PODS, second)
    await cluster.wait("pods", lambda one: "Insufficient cpu" in unscheduled(one))
    await client.call("DELETE", f"{PODS}/alice")
    await cluster.wait("pods", lambda one: is_ready(one) and one["metadata"]["name"] == "bob")


async def test_selectors_taints_and_tolerations(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod(nodeSelector={"pool": "a"}))
    found = await cluster.wait("pods", lambda one: bool(unscheduled(one)))
    assert "1 node(s) didn't match Pod's node affinity/selector" in unscheduled(found)
    tainted = node("node2", {"pool": "a"})
    tainted["spec"]["taints"] = [{"key": "only", "value": "us", "effect": "NoSchedule"}]
    cluster.add(tainted)
    await cluster.wait("pods", lambda one: "untolerated taint" in unscheduled(one))
    tolerations = [{"key": "only", "operator": "Equal", "value": "us"}]
    manifest = pod("bob", nodeSelector={"pool": "a"}, tolerations=tolerations)
    await client.call("POST", PODS, manifest)
    ready = await cluster.wait("pods", is_ready)
    assert (ready["metadata"]["name"], ready["spec"]["nodeName"]) == ("bob", "node2")


async def test_affinity_brings_pods_together(cluster: Cluster, client: Client) -> None:
    cluster.add(node("node2", {"pool": "b"}))
    manifest = pod(nodeSelector={"pool": "b"})
    manifest["metadata"]["labels"] = {"server": "s"}
    await client.call("POST", PODS, manifest)
    await cluster.wait("pods", is_ready)
    term = {
        "labelSelector": {"matchLabels": {"server": "s"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    await client.call("POST", PODS, pod("beside", affinity=affinity))
    found = await cluster.wait(
        "pods", lambda one: is_ready(one) and one["metadata"]["name"] == "beside"
    )
    assert found["spec"]["nodeName"] == "node2"


async def test_a_claim_is_bound_with_its_first_pod(cluster: Cluster, client: Client) -> None:
    _, made = await client.call("POST", CLAIMS, claim())
    assert made["spec"]["storageClassName"] == "standard"
    await cluster.wait("events", lambda one: one["reason"] == "WaitForFirstConsumer")
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    await client.call("POST", PODS, pod(volumes=volumes))
    await cluster.wait("pods", is_ready)
    _, bound = await client.call("GET", f"{CLAIMS}/home")
    assert bound["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "10Gi"},
    }
    assert bound["spec"]["volumeName"] == f"pvc-{made['metadata']['uid']}"


async def test_a_claim_takes_a_volume_that_an_admin_made(cluster: Cluster, client: Client) -> None:
    manifest = claim(storageClassName="manual", selector={"matchLabels": {"for": "alice"}})
    await client.call("POST", CLAIMS, manifest)
    for name, label in (("v1", "bob"), ("v2", "alice")):
        spec = {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"]}
        metadata = {"name": name, "labels": {"for": label}}
        spec |= {"storageClassName": "manual", "hostPath": {"path": "/nowhere"}}
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata}
        cluster.add(volume | {"spec": spec})
    found = await cluster.wait(
        "persistentvolumeclaims", lambda one: one["status"]["phase"] == "Bound"
    )
    assert found["spec"]["volumeName"] == "v2"
    assert found["status"]["capacity"] == {"storage": "20Gi"}


async def test_a_claim_for_one_pod_alone(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim(accessModes=["ReadWriteOncePod"]))
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    await client.call("POST", PODS, pod(volumes=volumes))
    await cluster.wait("pods", is_ready)
    await client.call("POST", PODS, pod("bob", volumes=volumes))
    found = await cluster.wait("pods", lambda one: bool(unscheduled(one)))
    assert "ReadWriteOncePod access mode" in unscheduled(found)


async def test_a_class_that_is_not_there(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim(storageClassName="nowhere"))
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    await client.call("POST", PODS, pod(volumes=volumes))
    found = await cluster.wait("pods", lambda one: bool(unscheduled(one)))
    assert "unbound immediate PersistentVolumeClaims" in unscheduled(found)


def job(image: str, **spec: Any) -> Object:
    container = {"name": "task", "image": image}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "backup", "labels": {"a": "b"}},
        "spec": {"template": template} | spec,
    }


def condition(thing: Object) -> str:
    conditions = dig(thing, "status", "conditions", default=[])
    return ",".join(one["type"] for one in conditions)


async def test_a_job_completes_and_takes_its_pod_with_it(cluster: Cluster, client: Client) -> None:
    cluster.kubelet.images["completed:1"] = Image(exit_code=0, log=("done",))
    assert (await client.call("POST", JOBS, job("completed:1")))[0] == 201
    found = await cluster.wait("jobs", lambda one: "Complete" in condition(one))
    assert found["status"]["succeeded"] == 1
    (made,) = cluster.every("pods", "workspaces")
    assert made["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "backup"
    name = made["metadata"]["name"]
    assert await client.call("GET", f"{PODS}/{name}/log") == (200, "done\n")
    await client.call("DELETE", f"{JOBS}/backup?propagationPolicy=Background")
    await cluster.wait_gone("pods", "workspaces", name)


async def test_a_job_fails_after_its_retries(cluster: Cluster, client: Client) -> None:
    await client.call("POST", JOBS, job("failed:1", backoffLimit=1))
    found = await cluster.wait("jobs", lambda one: condition(one).endswith("Failed"))
    assert found["status"]["failed"] == 2
    assert found["status"]["conditions"][-1]["reason"] == "BackoffLimitExceeded"


async def test_a_job_vanishes_when_its_time_is_over(cluster: Cluster, client: Client) -> None:
    await client.call("POST", JOBS, job("completed:1", ttlSecondsAfterFinished=0))
    await cluster.wait_gone("jobs", "workspaces", "backup")


async def test_a_job_whose_pod_is_refused_says_so(cluster: Cluster, client: Client) -> None:
    cluster.add(quota("workspaces", pods="0"))
    await client.call("POST", JOBS, job("completed:1"))
    found = await cluster.wait("events", lambda one: one["reason"] == "FailedCreate")
    assert "exceeded quota: q" in found["message"]


async def test_a_job_must_say_when_it_is_over(client: Client) -> None:
    manifest = job("completed:1")
    del manifest["spec"]["template"]["spec"]["restartPolicy"]
    status, body = await client.call("POST", JOBS, manifest)
    assert status == 422
    assert "spec.template.spec.restartPolicy" in body["message"]


async def test_a_load_balancer_gets_an_address(cluster: Cluster, client: Client) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "alice"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 22}]},
    }
    await client.call("POST", "/api/v1/namespaces/workspaces/services", service)
    found = await cluster.wait(
        "services", lambda one: bool(dig(one, "status", "loadBalancer", "ingress"))
    )
    assert found["status"]["loadBalancer"]["ingress"][0]["ip"].startswith("203.0.113.")


async def test_quotas_count_what_pods_ask_for(cluster: Cluster, client: Client) -> None:
    cluster.add(quota("workspaces", requests_cpu="3", requests_memory="4Gi"))
    manifest = wanting(cpu="2", memory="1Gi")
    assert (await client.call("POST", PODS, manifest))[0] == 201
    manifest["metadata"]["name"] = "bob"
    status, body = await client.call("POST", PODS, manifest)
    assert status == 403
    assert body["message"] == (
        'pods "bob" is forbidden: exceeded quota: q, requested: requests.cpu=2, used:'
        " requests.cpu=2, limited: requests.cpu=3"
    )
    status, body = await client.call("POST", PODS, pod("carol"))
    assert "must specify requests.cpu for: workspace" in body["message"]
