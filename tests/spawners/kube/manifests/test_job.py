"""The Job beside a home: what it has of the workspace's pod, and what it must not have."""

from dataclasses import replace
from typing import Any

import pytest

from kworkspace.spawners.kube.manifests.job import make_job
from kworkspace.spawners.kube.names import names
from tests.kube_api.objects import Object
from tests.spawners.kube.made import (
    ALICE,
    BACKUP,
    configured,
    container_of,
    job_of,
    pod_of,
)

TOLERATION = {"key": "gpu", "operator": "Exists"}
DATA: dict[str, Any] = {
    "volumes": [{"name": "data", "nfs": {"server": "nas", "path": "/{username}"}}],
    "volume_mounts": [{"name": "data", "mountPath": "/data"}],
}


def spec_of(job: Object) -> Object:
    spec: Object = job["spec"]["template"]["spec"]
    return spec


def made(**options: Any) -> Object:
    return spec_of(job_of(configured(**options)))


def test_as_it_is_by_default() -> None:
    job = job_of(configured())
    assert {key: value for key, value in job["spec"].items() if key != "template"} == {
        "backoffLimit": 0,
        "activeDeadlineSeconds": 3600,
        "ttlSecondsAfterFinished": 600,
    }
    assert spec_of(job) == {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": "workspace-alice"}},
        ],
        "containers": [
            {
                "name": "workspace",
                "image": "ubuntu:24.04",
                "command": ["restic", "backup", "."],
                "workingDir": "/home/alice",
                "env": [
                    {"name": "HOME", "value": "/home/alice"},
                    {"name": "KWORKSPACE_TASK_RESULT", "value": "/dev/termination-log"},
                    {"name": "REPO", "value": "s3:here"},
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "runAsGroup": 0,
                    "runAsUser": 0,
                },
                "terminationMessagePath": "/dev/termination-log",
                "volumeMounts": [{"name": "home", "mountPath": "/home/alice"}],
            }
        ],
    }


def test_its_pod_is_no_workspace() -> None:
    job = job_of(configured(extra_labels={"team": "blue"}))
    assert job["metadata"]["labels"]["kworkspace.io/server"] == ALICE.id
    assert job["metadata"]["labels"]["app.kubernetes.io/component"] == "task"
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["kworkspace.io/task"] == "backup"
    assert not {"kworkspace.io/hub", "kworkspace.io/server", "team"} & labels.keys()


@pytest.mark.parametrize("slug", ["a", "a" * 63, "a" * 52 + "-" + "b" * 10])
def test_each_has_a_name_of_its_own(slug: str) -> None:
    spawner, workspace = configured(pod_name_template="{slug}"), replace(ALICE, slug=slug)
    task = replace(BACKUP, name="x" * 20)
    found = {job_of(spawner, task, workspace)["metadata"]["name"] for _ in range(10)}
    assert len(found) == 10
    assert all(len(name) <= 63 and "--" not in name for name in found)


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({"tolerations": [TOLERATION]}, {"tolerations": [TOLERATION]}),
        ({"pod_template": {"tolerations": [TOLERATION]}}, {"tolerations": [TOLERATION]}),
        ({"extra_pod_config": {"tolerations": [TOLERATION]}}, {"tolerations": [TOLERATION]}),
        ({"image_pull_secrets": ["here"]}, {"imagePullSecrets": [{"name": "here"}]}),
        ({"service_account": "puller"}, {"serviceAccountName": "puller"}),
        ({"runtime_class_name": "gvisor"}, {"runtimeClassName": "gvisor"}),
        ({"priority_class_name": "low"}, {"priorityClassName": "low"}),
        ({"scheduler_name": "packer"}, {"schedulerName": "packer"}),
        ({"extra_pod_config": {"hostUsers": False}}, {"hostUsers": False}),
        ({"node_selector": {"disk": "ssd"}}, {"nodeSelector": {"disk": "ssd"}}),
    ],
)
def test_what_it_has_of_the_pod(options: dict[str, Any], spec: dict[str, Any]) -> None:
    assert spec.items() <= made(**options).items()


def test_what_it_has_not_of_the_pod() -> None:
    spawner = configured(
        automount_service_account_token=True,
        init_containers=[{"name": "fetch", "image": "fetch:1"}],
        extra_containers=[{"name": "proxy", "image": "proxy:1"}],
        gpu_limit=1,
        environment={"TOKEN": "secret"},
        lifecycle_hooks={"preStop": {"exec": {"command": ["true"]}}},
        node_affinity_required=[{"matchFields": []}],
        volumes=[{"name": "of-nobody", "emptyDir": {}}],
    )
    spec = spec_of(job_of(spawner))
    assert spec["automountServiceAccountToken"] is False
    assert not {"initContainers", "affinity"} & spec.keys()
    assert [volume["name"] for volume in spec["volumes"]] == ["home"]
    assert [one["name"] for one in spec["containers"]] == ["workspace"]
    container = spec["containers"][0]
    assert not {"resources", "lifecycle", "startupProbe", "ports"} & container.keys()
    assert "TOKEN" not in {variable["name"] for variable in container["env"]}


def test_it_runs_as_who_owns_the_home() -> None:
    spawner = configured(uid=1001)
    pod, spec = pod_of(spawner), made(uid=1001)
    assert spec["securityContext"] == pod["spec"]["securityContext"]
    assert spec["containers"][0]["securityContext"] == container_of(pod)["securityContext"]


@pytest.mark.parametrize("read_only", [False, True])
def test_volumes(read_only: bool) -> None:
    job = job_of(configured(**DATA), replace(BACKUP, read_only=read_only))
    volumes = {volume["name"]: volume for volume in spec_of(job)["volumes"]}
    assert volumes.keys() == {"home", "data"}
    assert volumes["data"]["nfs"]["path"] == "/alice"
    mounts = container_of(job)["volumeMounts"]
    assert {mount["mountPath"] for mount in mounts} == {"/home/alice", "/data"}
    assert {mount.get("readOnly", False) for mount in mounts} == {read_only}


def test_a_place_for_temporary_files_can_be_written() -> None:
    scratch = {"name": "tmp", "emptyDir": {}}
    spawner = configured(volumes=[scratch], volume_mounts=[{"name": "tmp", "mountPath": "/tmp"}])
    mounts = container_of(job_of(spawner, replace(BACKUP, read_only=True)))["volumeMounts"]
    assert {mount["name"]: mount.get("readOnly", False) for mount in mounts} == {
        "home": True,
        "tmp": False,
    }


def test_the_claim_is_the_one_that_is_there() -> None:
    spawner = configured()
    made = replace(names(spawner, ALICE), claim="of-old")
    [volume] = spec_of(make_job(spawner, ALICE, made, BACKUP, node=None))["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "of-old"}


def test_without_a_volume() -> None:
    spec = made(storage_capacity=None)
    assert "volumes" not in spec
    assert "volumeMounts" not in spec["containers"][0]


TEMPLATE = {"containers": [{"name": "workspace", "image": "from:template"}]}


@pytest.mark.parametrize(
    ("options", "image", "policy"),
    [
        ({}, "ubuntu:24.04", None),
        ({"image": "mine:1", "image_pull_policy": "Never"}, "mine:1", "Never"),
        ({"pod_template": TEMPLATE}, "from:template", None),
        ({"pod_template": TEMPLATE, "image": "mine:1"}, "mine:1", None),
    ],
)
def test_the_image(options: dict[str, Any], image: str, policy: str | None) -> None:
    spawner = configured(**options)
    container = container_of(job_of(spawner))
    assert (container["image"], container.get("imagePullPolicy")) == (image, policy)
    container = container_of(job_of(spawner, replace(BACKUP, image="restic:1")))
    assert (container["image"], container.get("imagePullPolicy")) == ("restic:1", None)


def test_beside_what_runs_on_a_node() -> None:
    spec = spec_of(job_of(configured(node_selector={"disk": "ssd"}), node="node-1"))
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]
    assert "nodeSelector" not in spec, "the scheduler is to follow the volume, whatever was changed"


def test_resources() -> None:
    resources = {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m"}}
    assert container_of(job_of(configured(task_resources=resources)))["resources"] == resources
