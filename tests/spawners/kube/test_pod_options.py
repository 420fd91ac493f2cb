"""The pod: what each option does to what is made, and what it is refused for."""

from typing import Any

import pytest

from kworkspace.spawners.kube.pod_options import PodOptions
from tests.spawners.kube.configured import at, objects, refused, valid
from tests.spawners.kube.made import ALICE

SIDECAR = {"name": "proxy", "image": "proxy:1"}
SCRATCH = {"name": "scratch", "emptyDir": {}}
CONTAINER, SPEC = "Pod main", "Pod spec"
CONTEXT, POD_CONTEXT = f"{CONTAINER} securityContext", f"{SPEC} securityContext"
BOOT = f"{CONTAINER} env KWORKSPACE_BOOT"
HOOK = {"exec": {"command": ["true"]}}

# By option: what is set beside it, its value, where it comes to be, as what, and what was there.
DONE: dict[str, tuple[dict[str, Any], Any, str, Any, Any]] = {
    "image": ({}, "python:3.13", f"{CONTAINER} image", "python:3.13", "ubuntu:24.04"),
    "image_pull_policy": ({}, "Never", f"{CONTAINER} imagePullPolicy", "Never", None),
    "image_pull_secrets": ({}, "reg", f"{SPEC} imagePullSecrets", [{"name": "reg"}], None),
    "environment": ({}, {"A": "{slug}"}, f"{CONTAINER} env A value", "alice", None),
    "cpu_guarantee": ({}, 0.5, f"{CONTAINER} resources requests cpu", "0.5", None),
    "cpu_limit": ({}, 2, f"{CONTAINER} resources limits cpu", "2", None),
    "mem_guarantee": ({}, "1Gi", f"{CONTAINER} resources requests memory", "1Gi", None),
    "mem_limit": ({}, "2Gi", f"{CONTAINER} resources limits memory", "2Gi", None),
    "gpu_limit": ({}, 1, f"{CONTAINER} resources limits nvidia.com/gpu", "1", None),
    "gpu_resource": (
        {"gpu_limit": 1},
        "amd.com/gpu",
        f"{CONTAINER} resources limits amd.com/gpu",
        "1",
        None,
    ),
    "extra_resource_guarantees": (
        {},
        {"ephemeral-storage": "5Gi"},
        f"{CONTAINER} resources requests ephemeral-storage",
        "5Gi",
        None,
    ),
    "extra_resource_limits": ({}, {"a.b/c": 1}, f"{CONTAINER} resources limits a.b/c", "1", None),
    "uid": ({}, 1000, f"{CONTEXT} runAsUser", 1000, 0),
    "gid": ({"uid": 1000}, 100, f"{CONTEXT} runAsGroup", 100, 1000),
    "fs_gid": ({}, 100, f"{POD_CONTEXT} fsGroup", 100, None),
    "supplemental_gids": ({}, [5], f"{POD_CONTEXT} supplementalGroups", [5], None),
    "privileged": ({}, True, f"{CONTEXT} privileged", True, None),
    "allow_privilege_escalation": ({}, True, f"{CONTEXT} allowPrivilegeEscalation", True, False),
    "container_security_context": (
        {"uid": 1000},
        {"runAsUser": 2000},
        f"{CONTEXT} runAsUser",
        2000,
        1000,
    ),
    "pod_security_context": (
        {"fs_gid": 100},
        {"fs_group": 200},
        f"{POD_CONTEXT} fsGroup",
        200,
        100,
    ),
    "account_template": ({}, "u-{slug}", f"{BOOT}_USER value", "u-alice", "alice"),
    "account_uid": ({}, 2000, f"{BOOT}_UID value", "2000", "1000"),
    "account_gid": ({}, 50, f"{BOOT}_GID value", "50", "1000"),
    "home_dir": ({}, "/h/{account}", f"{CONTAINER} volumeMounts /h/alice name", "home", None),
    "shell": ({}, "/bin/zsh", f"{BOOT}_SHELL value", "/bin/zsh", "/bin/bash"),
    "sudo": ({}, True, f"{BOOT}_SUDO value", "1", "0"),
    "ssh_port": ({}, 22, f"{CONTAINER} ports ssh containerPort", 22, 2222),
    "working_dir": ({}, "/srv/{slug}", f"{CONTAINER} workingDir", "/srv/alice", None),
    "service_account": ({}, "{username}", f"{SPEC} serviceAccountName", "alice", None),
    "automount_service_account_token": (
        {},
        True,
        f"{SPEC} automountServiceAccountToken",
        True,
        False,
    ),
    "task_resources": (
        {},
        {"requests": {"cpu": "100m"}},
        "Job main resources requests cpu",
        "100m",
        None,
    ),
    "lifecycle_hooks": ({}, {"post_start": HOOK}, f"{CONTAINER} lifecycle postStart", HOOK, None),
    "init_containers": (
        {},
        [{**SIDECAR, "args": ["{slug}"]}],
        f"{SPEC} initContainers proxy args",
        ["alice"],
        None,
    ),
    "extra_containers": ({}, [SIDECAR], f"{SPEC} containers proxy", SIDECAR, None),
    "volumes": (
        {},
        {"b": SCRATCH, "a": {"name": "c", "configMap": {"name": "{slug}"}}},
        f"{SPEC} volumes c configMap name",
        "alice",
        None,
    ),
    "volume_mounts": (
        {"volumes": [SCRATCH]},
        [{"name": "scratch", "mountPath": "/scratch", "subPath": "{slug}"}],
        f"{CONTAINER} volumeMounts /scratch subPath",
        "alice",
        None,
    ),
    "extra_container_config": ({}, {"tty": True}, f"{CONTAINER} tty", True, None),
    "extra_pod_config": ({}, {"hostname": "{slug}"}, f"{SPEC} hostname", "alice", None),
    "pod_template": ({}, {"spec": {"hostname": "{slug}"}}, f"{SPEC} hostname", "alice", None),
    "common_labels": ({}, {"team": "x"}, "Secret metadata labels team", "x", None),
    "extra_labels": ({}, {"team": "{slug}"}, "Pod metadata labels team", "alice", None),
    "extra_annotations": ({}, {"to": "{slug}"}, "Secret metadata annotations to", "alice", None),
    "delete_grace_period": ({}, 60, f"{SPEC} terminationGracePeriodSeconds", 60, 15),
}
HOOKS = {"modify_pod_hook", "after_pod_created_hook"}  # test_spawner.py has them called


def test_every_option_is_here() -> None:
    assert DONE.keys() | HOOKS == set(PodOptions.class_trait_names(config=True))


@pytest.mark.parametrize("name", DONE)
def test_what_an_option_does(name: str) -> None:
    beside, value, path, becomes, otherwise = DONE[name]
    assert at(objects(**beside), path) == otherwise
    made = objects(**beside, **{name: value})
    assert at(made, path) == becomes
    valid(made.get(path.split()[0], made["Pod"]))


@pytest.mark.parametrize(
    ("given", "mounted"),
    [
        ({"service_account": "x"}, False),
        ({"service_account": "x", "automount_service_account_token": None}, True),
        ({"automount_service_account_token": None}, False),
        ({"pod_template": {"automountServiceAccountToken": True}}, True),
    ],
)
def test_a_token_of_the_cluster_is_mounted_only_when_asked_for(
    given: dict[str, Any], mounted: bool
) -> None:
    assert at(objects(**given), f"{SPEC} automountServiceAccountToken") is mounted


def test_what_admins_add_is_on_every_object_but_never_in_place_of_our_own() -> None:
    made = objects(
        common_labels={"team": "x"}, extra_labels={"team": "y"}, service_type="ClusterIP"
    )
    assert {kind: at(made, f"{kind} metadata labels team") for kind in made} == {
        "Namespace": "x",
        "PersistentVolumeClaim": "x",
        "Secret": "y",
        "Service": "y",
        "Pod": "y",
        "Job": "x",
    }
    assert at(made, "Pod metadata labels kworkspace.io/server") == ALICE.id


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("image", "", ": it is empty"),
        ("image", " ", ": it is empty"),
        ("image", None, ": expected a text, not None"),
        ("image", ["ubuntu"], ": expected a text, not ['ubuntu']"),
        ("image_pull_secrets", [{"nam": "x"}], "[0].nam: there is no such key; did you mean"),
        ("image_pull_secrets", [""], ": a name is empty"),
        ("cpu_guarantee", "half", ": 'half' is not a quantity; write a number as"),
        ("cpu_limit", -1, ": -1 is negative"),
        ("mem_guarantee", "2 Gi", ": '2 Gi' is not a quantity; write a number as"),
        ("mem_limit", True, ": True is not a quantity; write a number as"),
        ("gpu_limit", "1", ": expected a whole number, not '1'"),
        ("gpu_limit", -1, ": expected 0 to 2147483647, not -1"),
        ("gpu_resource", "", ": it is empty"),
        ("extra_resource_guarantees", {"gpu": "a"}, "['gpu']: 'a' is not a quantity;"),
        ("extra_resource_limits", {"gpu": -1}, "['gpu']: -1 is negative"),
        ("extra_resource_limits", {"a b": 1}, ": 'a b' is not a name that Kubernetes allows"),
        ("uid", -1, ": expected 0 to 2147483647, not -1"),
        ("gid", 1.5, ": expected a whole number, not 1.5"),
        ("fs_gid", "100", ": expected a whole number, not '100'"),
        ("supplemental_gids", [-1], ": expected numbers from 0"),
        ("supplemental_gids", 5, ": expected a list, not 5"),
        ("container_security_context", {"runAsUsr": 1}, ": runAsUsr: there is no such key; did"),
        ("pod_security_context", {"fsGroup": "1"}, ": fsGroup: expected a whole number, not '1'"),
        ("account_template", "{user}", ": '{user}' cannot be expanded: there is no field {user}"),
        ("account_uid", 0, ": expected 1 to 2147483647, not 0"),
        ("account_gid", 0, ": expected 1 to 2147483647, not 0"),
        ("home_dir", "home", ": 'home' is not an absolute path"),
        ("home_dir", "", ": it is empty"),
        ("shell", "bash", ": 'bash' is not an absolute path"),
        ("ssh_port", 70000, ": expected 1 to 65535, not 70000"),
        ("working_dir", "{", ": '{' cannot be expanded: Single '{' encountered"),
        ("service_account", " ", ": it is empty"),
        ("task_resources", {"request": {}}, ": request: there is no such key; did you mean"),
        ("lifecycle_hooks", {"postStart": {"exec": []}}, ": postStart.exec: expected a dict"),
        ("lifecycle_hooks", {"poststart": {}}, ": poststart: there is no such key; did you mean"),
        ("init_containers", [{"name": "a"}], ": the container 'a' has no image"),
        ("init_containers", {"1": {"nme": "a"}}, "['1'].nme: there is no such key; did you mean"),
        ("extra_containers", [{**SIDECAR, "name": "workspace"}], ": the container 'workspace' is"),
        ("volumes", [{"name": "home", "emptyDir": {}}], ": the volume 'home' is kworkspace's own"),
        ("volumes", [{"name": "a"}], ": the volume 'a' must have one kind, as 'nfs'"),
        ("volume_mounts", [{"name": "a", "mountPath": "/a"}], ": there is no volume 'a'"),
        ("volume_mounts", [{"name": "a"}], "[0]: 'mountPath' is missing"),
        ("extra_container_config", {"command": ["sh"]}, ": 'command' of the container 'workspace'"),
        ("extra_container_config", {"tyy": True}, ": tyy: there is no such key; did you mean"),
        ("extra_pod_config", {"restartPolicy": "Always"}, ": 'restartPolicy' cannot be set here:"),
        ("extra_pod_config", {"dnsPolcy": "None"}, ": dnsPolcy: there is no such key; did you"),
        ("common_labels", {"app.kubernetes.io/name": "x"}, ": 'app.kubernetes.io/name' is one of"),
        ("common_labels", {"a": "b c"}, "['a']: 'b c' is not a label's value: at most 63"),
        ("extra_labels", {"a": "{b}"}, ": '{b}' cannot be expanded: there is no field {b}"),
        ("extra_annotations", {"kworkspace.io/x": "y"}, ": 'kworkspace.io/x' is one of"),
        ("modify_pod_hook", "hooks.modify", ": expected a callable, not 'hooks.modify'"),
        ("after_pod_created_hook", {}, ": expected a callable, not {}"),
    ],
)  # fmt: skip
def test_what_is_refused(name: str, value: Any, why: str) -> None:
    assert refused(**{name: value}).startswith(f"{name}{why}")
