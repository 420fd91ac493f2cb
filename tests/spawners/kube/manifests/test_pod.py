"""The Pod: what counts more than what, and what no option can take from it."""

from typing import Any

import pytest

from kworkspace.spawners.kube.own import FILES_DIR, RUN_DIR
from tests.kube_api.objects import Object
from tests.spawners.kube.made import ALICE, HOST_KEY, configured, container_of, pod_of

SCRATCH = {"name": "scratch", "emptyDir": {}}


def made(**options: Any) -> Object:
    return pod_of(configured(**options))


def main(**options: Any) -> Object:
    return container_of(made(**options))


def template(**container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "workspace", **container}]}


def boot(container: Object) -> dict[str, str]:
    start = "KWORKSPACE_BOOT_"
    return {
        variable["name"].removeprefix(start): variable["value"]
        for variable in container["env"]
        if variable["name"].startswith(start)
    }


def test_what_is_always_so() -> None:
    spec = made()["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 15)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False  # else the variables of thousands of Services
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = main()
    assert container["command"] == ["/bin/sh", "/etc/kworkspace/bootstrap.sh"]
    assert container["ports"] == [{"name": "ssh", "containerPort": 2222, "protocol": "TCP"}]
    assert "resources" not in container
    assert "imagePullPolicy" not in container, "Kubernetes' own default is by the tag"


def test_ssh_is_asked_for_until_it_answers_once() -> None:
    container = main()
    probe = container["startupProbe"]
    assert (probe["tcpSocket"], probe["periodSeconds"]) == ({"port": "ssh"}, 1)
    assert probe["failureThreshold"] >= 86400, "start_timeout counts"
    assert not {"readinessProbe", "livenessProbe"} & container.keys()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {},
            {"MODE": "root", "UID": "1000", "GID": "1000", "SUDO": "0", "HOME": "/home/alice"},
        ),
        ({"sudo": True, "account_uid": 7}, {"MODE": "root", "UID": "7", "GID": "7", "SUDO": "1"}),
        ({"uid": 7, "gid": 8}, {"MODE": "user", "UID": "7", "GID": "8"}),
        ({"ssh_port": 2022, "shell": "/bin/zsh"}, {"PORT": "2022", "SHELL": "/bin/zsh"}),
        ({"account_template": "dev"}, {"USER": "dev", "HOME": "/home/dev"}),
        ({}, {"PRINCIPAL": ALICE.id, "USER": "alice"}),
    ],
)
def test_what_the_bootstrap_is_told(options: dict[str, Any], expected: dict[str, str]) -> None:
    assert expected.items() <= boot(main(**options)).items()


def test_metadata() -> None:
    given = {
        "metadata": {
            "labels": {"of": "template", "team": "red"},
            "annotations": {"of": "template"},
            "finalizers": ["example.org/keep"],
        }
    }
    metadata = made(
        pod_template=given, extra_labels={"team": "blue"}, extra_annotations={"a": "{username}"}
    )["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("workspace-alice", "workspaces")
    assert (metadata["labels"]["of"], metadata["labels"]["team"]) == ("template", "blue")
    assert metadata["finalizers"] == ["example.org/keep"]
    assert metadata["annotations"] == {
        "of": "template",
        "a": "alice",
        "kworkspace.io/user-name": "alice",
        "kworkspace.io/server-name": "",
        "kworkspace.io/slug": "alice",
        "kworkspace.io/host-key": HOST_KEY,
        "kworkspace.io/account": "alice",
    }


def test_the_home_is_on_the_claim() -> None:
    spec = made(home_dir="/data/{account}")["spec"]
    assert spec["volumes"][0] == {
        "name": "home",
        "persistentVolumeClaim": {"claimName": "workspace-alice"},
    }
    mount = container_of({"spec": spec})["volumeMounts"]
    assert {"name": "home", "mountPath": "/data/alice"} in mount


def test_without_a_claim() -> None:
    spec = made(storage_pvc_ensure=False)["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["kworkspace-ssh"]


def test_files_of_root_are_for_root_alone() -> None:
    [_, files] = made()["spec"]["volumes"]
    assert files["secret"] == {"secretName": "workspace-alice-ssh", "defaultMode": 0o400}
    assert main()["volumeMounts"][1:] == [
        {"name": "kworkspace-ssh", "mountPath": FILES_DIR, "readOnly": True}
    ]


def test_files_of_a_plain_user() -> None:
    _, files, run = made(uid=1001)["spec"]["volumes"]
    assert files["secret"]["defaultMode"] == 0o444
    assert run["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Mi"}
    mounts = main(uid=1001)["volumeMounts"]
    over = {mount["mountPath"]: mount["subPath"] for mount in mounts if "subPath" in mount}
    assert over == {
        "/etc/passwd": "passwd",
        "/etc/group": "group",
        "/etc/profile.d/kworkspace.sh": "profile.sh",
    }
    writable = [mount["mountPath"] for mount in mounts if not mount.get("readOnly")]
    assert writable == ["/home/alice", RUN_DIR]


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ({}, "ubuntu:24.04"),
        ({"pod_template": template(image="of:template")}, "of:template"),
        ({"pod_template": template(image="of:template"), "image": "set:1"}, "set:1"),
        ({"image": "set:1", "extra_container_config": {"image": "extra:1"}}, "extra:1"),
    ],
)
def test_the_image(options: dict[str, Any], image: str) -> None:
    assert main(**options)["image"] == image


@pytest.mark.parametrize(
    ("options", "mounted"),
    [
        ({}, False),
        ({"service_account": "someone"}, False),
        ({"automount_service_account_token": True}, True),
        ({"automount_service_account_token": None}, False),
        ({"automount_service_account_token": None, "service_account": "someone"}, True),
        ({"pod_template": {"automountServiceAccountToken": True}}, True),
    ],
)
def test_the_token_of_a_service_account(options: dict[str, Any], mounted: bool) -> None:
    assert made(**options)["spec"]["automountServiceAccountToken"] is mounted


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ({"service_account": "for-{username}"}, "serviceAccountName", "for-alice"),
        ({"delete_grace_period": 0}, "terminationGracePeriodSeconds", 0),
        ({"node_selector": {"disk": "ssd"}}, "nodeSelector", {"disk": "ssd"}),
        ({"priority_class_name": "low"}, "priorityClassName", "low"),
        ({"pod_template": {"priorityClassName": "low"}}, "priorityClassName", "low"),
        ({"extra_pod_config": {"hostUsers": False}}, "hostUsers", False),
        (
            {"pod_template": {"nodeSelector": {"a": "b"}}, "node_selector": {"disk": "ssd"}},
            "nodeSelector",
            {"a": "b", "disk": "ssd"},
        ),
    ],
)
def test_what_is_said_of_the_pod(options: dict[str, Any], key: str, value: Any) -> None:
    assert made(**options)["spec"][key] == value


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ({"working_dir": "/srv/{username}"}, "workingDir", "/srv/alice"),
        ({"image_pull_policy": "Never"}, "imagePullPolicy", "Never"),
        ({"gpu_limit": 2}, "resources", {"limits": {"nvidia.com/gpu": "2"}}),
        ({"extra_container_config": {"tty": True}}, "tty", True),
        ({"pod_template": template(livenessProbe={"exec": {}})}, "livenessProbe", {"exec": {}}),
    ],
)
def test_what_is_said_of_the_container(options: dict[str, Any], key: str, value: Any) -> None:
    assert main(**options)[key] == value


def test_a_variable_of_the_template_is_replaced_by_an_option() -> None:
    given = template(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "{username}"}])
    env = {
        variable["name"]: variable["value"]
        for variable in main(pod_template=given, environment={"A": "2"})["env"]
    }
    assert (env["A"], env["B"]) == ("2", "alice")


def test_containers_beside_it() -> None:
    sidecar = {
        "name": "proxy",
        "image": "proxy:1",
        "args": ["{username}"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    pod = made(
        extra_containers=[sidecar], init_containers=[sidecar | {"name": "a"}], volumes=[SCRATCH]
    )
    assert [one["name"] for one in pod["spec"]["containers"]] == ["workspace", "proxy"]
    assert container_of(pod, "proxy")["args"] == ["alice"]
    assert pod["spec"]["initContainers"] == [{**sidecar, "name": "a", "args": ["alice"]}]


def test_a_template_cannot_hold_back_privileges_that_an_option_gives() -> None:
    given = template(securityContext={"allowPrivilegeEscalation": False})
    context = main(pod_template=given, privileged=True)["securityContext"]
    assert context["privileged"] is True
    assert "allowPrivilegeEscalation" not in context, "the API server refuses the two together"


def test_nothing_of_the_configuration_is_changed() -> None:
    given = template(env=[{"name": "A", "value": "1"}])
    spawner = configured(pod_template=given, environment={"B": "2"}, uid=1001)
    first, second = pod_of(spawner), pod_of(spawner)
    container_of(first)["startupProbe"]["periodSeconds"] = 99
    first["spec"]["volumes"][-1]["emptyDir"]["sizeLimit"] = "1Gi"
    first["spec"]["volumes"].clear()
    container_of(first)["env"].clear()
    assert pod_of(spawner) == second != first
