"""Parts of a configuration that do not fit together: each says which option, at start."""

from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.spawners.kube.checks import check
from tests.spawners.kube.made import configured

SCRATCH = {"name": "scratch", "emptyDir": {}}
SIDECAR = {"name": "proxy", "image": "proxy:1"}


def refused(**options: Any) -> str:
    with pytest.raises(TraitError) as caught:
        configured(**options)
    return str(caught.value)


def mounted(name: str, path: str) -> dict[str, Any]:
    return {"volumes": [SCRATCH], "volume_mounts": [{"name": name, "mountPath": path}]}


def wants(requests: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "workspace", "resources": {"requests": requests, "limits": limits}}
    return {"pod_template": {"containers": [container]}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"namespace": "Not a name"}, "namespace: 'Not a name' is not a namespace's name"),
        ({"pod_name_template": "workspace"}, "pod_name_template: 'workspace' gives a's default"),
        ({"pod_name_template": "w-{username}"}, "a's default workspace and a's workspace 'b'"),
        ({"pvc_name_template": "home"}, "pvc_name_template: 'home' gives"),
        ({"home_dir": "home"}, "home_dir: 'home' is not an absolute path"),
        ({"home_dir": "/home:1"}, "home_dir: '/home:1' is not an absolute path"),
        ({"shell": "bash"}, "shell: 'bash' is not an absolute path"),
        ({"pod_security_context": {"runAsNonRoot": True}}, "uid: runAsNonRoot is set"),
        ({"uid": 1000, "sudo": True}, "sudo: nobody becomes root"),
        ({"volumes": [{"name": "a"}]}, "volumes: the volume 'a' must have one kind"),
        (
            {"volumes": [{**SCRATCH, "nfs": {"server": "a", "path": "/"}}]},
            "volumes: the volume 'scratch' must have one kind",
        ),
        (
            {"pod_template": {"volumes": [{"name": "a"}]}},
            "pod_template: the volume 'a' must have one kind",
        ),
        (
            {"extra_containers": [SIDECAR], "init_containers": [SIDECAR]},
            "extra_containers: there are two containers 'proxy'",
        ),
        (mounted("data", "/data"), "volume_mounts: there is no volume 'data'"),
        (
            {"extra_containers": [{**SIDECAR, "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]},
            "volumes: there is no volume 'x'",
        ),
        (mounted("scratch", "/home/{account}"), "volume_mounts: /home/a is where the workspace's"),
        (mounted("scratch", "/home/a/"), "volume_mounts: /home/a is where the workspace's own"),
        (
            {"extra_containers": [{**SIDECAR, "ports": [{"containerPort": 2222}]}]},
            "ssh_port: 2222 is used by the container 'proxy' too",
        ),
        ({"cpu_guarantee": 2, "cpu_limit": 1}, "cpu_guarantee: 2 of cpu is more than its limit 1"),
        ({"mem_guarantee": "2Gi", "mem_limit": "2G"}, "mem_guarantee: 2Gi of memory is more"),
        (
            {"extra_resource_guarantees": {"amd.com/gpu": 1}},
            "extra_resource_guarantees: amd.com/gpu must be in extra_resource_limits too",
        ),
        (
            {"extra_resource_limits": {"amd.com/gpu": 0.5}},
            "extra_resource_limits: amd.com/gpu must be whole: 0.5",
        ),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], words: str) -> None:
    said = refused(**options)
    assert said.startswith("c.KubeSpawner.")
    assert words in said


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pvc_name_template": "w-{username}"},  # one home for all of a user's workspaces
        {"pvc_name_template": "home", "storage_pvc_ensure": False},
        {"storage_capacity": None, **mounted("scratch", "/home/{account}")},
        mounted("scratch", "/home/alice/scratch"),
        {"extra_container_config": {"ports": [{"containerPort": 80}, {"containerPort": 81}]}},
        {"extra_containers": [{**SIDECAR, "ports": [{"containerPort": 2222, "protocol": "UDP"}]}]},
        {"extra_containers": [SIDECAR], "init_containers": [{**SIDECAR, "name": "fetch"}]},
        {"cpu_guarantee": "500m", "cpu_limit": 0.5},
        wants({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "1000m"}),
        {"extra_resource_guarantees": {"ephemeral-storage": "1Gi"}},
        {"pod_security_context": {"runAsNonRoot": True}, "uid": lambda *_: 1000},
        {"sudo": True, "uid": lambda *_: None},
        {"cpu_guarantee": lambda *_: 9, "cpu_limit": 1},
        {"environment": {"A": lambda *_: "b"}},
        {"volumes": {"b": SCRATCH}, "volume_mounts": {"a": {"name": "scratch", "mountPath": "/b"}}},
    ],
)
def test_what_fits(options: dict[str, Any]) -> None:
    check(configured(**options))


def profile(overrides: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Return a list of two profiles, the second with overrides and options."""
    second = {"display_name": "Big", "overrides": overrides, "profile_options": options}
    return [{"display_name": "Small"}, second]


def test_each_profile_is_tried() -> None:
    said = refused(profile_list=profile({"cpu_guarantee": 2}), cpu_limit=1)
    assert said == (
        "c.KubeSpawner.profile_list, profile 'big': cpu_guarantee: 2 of cpu is more than its"
        " limit 1"
    )


def test_each_choice_is_tried() -> None:
    choices = {
        "few": {"display_name": "Few", "overrides": {"cpu_guarantee": 1}},
        "many": {"display_name": "Many", "overrides": {"cpu_guarantee": 8}},
    }
    listed = profile({"cpu_limit": 2}, cores={"display_name": "Cores", "choices": choices})
    said = refused(profile_list=listed)
    assert said.startswith("c.KubeSpawner.profile_list, profile 'big', cores 'many': cpu_guarantee")
    choices["many"]["overrides"] = {"cpu_guarantee": 2}
    configured(profile_list=listed)


def test_what_is_typed_is_for_an_option() -> None:
    typed = {"enabled": True, "overrides": {"imge": "{value}"}}
    listed = profile({}, image={"display_name": "Image", "unlisted_choice": typed})
    said = refused(profile_list=listed)
    assert said == (
        "c.KubeSpawner.profile_list, profile 'big', image, typed: 'imge': there is no such option"
    )
    typed["overrides"] = {"image": "{value}"}
    configured(profile_list=listed)


def test_profiles_that_are_known_later() -> None:
    configured(profile_list=lambda *_: profile({"cpu_guarantee": 2}), cpu_limit=1)
