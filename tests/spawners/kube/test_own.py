"""What no option may decide, and that the message names it."""

from typing import Any

import pytest

from kworkspace.spawners.kube.own import (
    check_container,
    check_init_containers,
    check_label,
    check_mounts,
    check_sidecars,
    check_spec,
    check_volumes,
)
from kworkspace.spawners.kube.schema import SchemaError

SIDECAR = {"name": "proxy", "image": "proxy:1"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"restartPolicy": "Always"}, "'restartPolicy' cannot be set here"),
        ({"terminationGracePeriodSeconds": 0}, "set c.KubeSpawner.delete_grace_period"),
        ({"nodeName": "node-1"}, "set c.KubeSpawner.node_selector"),
        ({"ephemeralContainers": [SIDECAR]}, "'ephemeralContainers' cannot be set here"),
        ({"hostNetwork": True}, "'hostNetwork' cannot be set"),
        ({"volumes": [{"name": "home", "emptyDir": {}}]}, "the volume 'home' is kworkspace's own"),
        ({"initContainers": [{"name": "fetch"}]}, "the container 'fetch' has no image"),
        ({"containers": [{"name": "proxy", "image": " "}]}, "the container 'proxy' has no image"),
        (
            {"containers": [{"name": "workspace", "command": ["sleep"]}]},
            "'command' of the container 'workspace' cannot be set",
        ),
    ],
)
def test_a_pods_spec(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_spec(spec)
    assert words in str(caught.value)


def test_what_a_pods_spec_may_say() -> None:
    check_spec(
        {
            "hostNetwork": False,
            "restartPolicy": None,
            "dnsPolicy": "Default",
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "initContainers": [{"name": "fetch", "image": "fetch:1"}],
            "containers": [{"name": "workspace", "tty": True}, SIDECAR],
        }
    )


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"name": "other"}, "'name' cannot be set"),
        ({"args": ["-D"]}, "'args' of the container 'workspace' cannot be set"),
        ({"readinessProbe": {"exec": {"command": ["true"]}}}, "whether SSH answers"),
        ({"startupProbe": {"exec": {"command": ["true"]}}}, "whether SSH answers"),
        ({"image": ""}, "the image of the container 'workspace' is empty"),
        ({"ports": [{"name": "ssh", "containerPort": 22}]}, "set c.KubeSpawner.ssh_port"),
        ({"volumeMounts": [{"name": "home", "mountPath": "/x"}]}, "mounted by kworkspace itself"),
        ({"env": [{"name": "KWORKSPACE_BOOT_USER", "value": "root"}]}, "is the bootstrap's"),
    ],
)
def test_the_workspaces_container(container: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_container(container)
    assert words in str(caught.value)


def test_what_the_workspaces_container_may_say() -> None:
    check_container(
        {
            "name": "workspace",
            "command": None,
            "image": "ubuntu:24.04",
            "livenessProbe": {"exec": {"command": ["true"]}},
            "ports": [{"name": "http", "containerPort": 8888}],
            "env": [{"name": "KWORKSPACE_TEAM", "value": "blue"}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
    )


@pytest.mark.parametrize("name", ["home", "kworkspace-ssh", "kworkspace-run"])
def test_volumes_of_its_own(name: str) -> None:
    with pytest.raises(SchemaError, match=f"the volume '{name}' is kworkspace's own"):
        check_volumes([{"name": "data"}, {"name": name}])
    check_volumes([{"name": f"{name}-2"}])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/kworkspace",
        "/etc/kworkspace/",
        "/etc/kworkspace/bootstrap.sh",
        "/run/kworkspace/x",
        "/etc/passwd",
        "/etc/group",
    ],
)
def test_places_of_its_own(path: str) -> None:
    with pytest.raises(SchemaError, match="is where kworkspace mounts its own files"):
        check_mounts([{"name": "data", "mountPath": path}])


@pytest.mark.parametrize("path", ["/", "/etc/kworkspace-2", "/run", "/etc/passwd.d", "/etc/shadow"])
def test_other_places(path: str) -> None:
    check_mounts([{"name": "data", "mountPath": path}])


@pytest.mark.parametrize("check", [check_sidecars, check_init_containers])
@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"name": "workspace", "image": "x"}, "the container 'workspace' is the workspace's own"),
        ({"name": "proxy"}, "the container 'proxy' has no image"),
    ],
)
def test_other_containers(check: Any, container: dict[str, Any], words: str) -> None:
    check([SIDECAR])
    with pytest.raises(SchemaError, match=words):
        check([SIDECAR, container])


def test_a_sidecars_port() -> None:
    check_sidecars([{**SIDECAR, "ports": [{"name": "http", "containerPort": 80}]}])
    with pytest.raises(SchemaError, match="the port 'ssh' is the workspace's own"):
        check_sidecars([{**SIDECAR, "ports": [{"name": "ssh", "containerPort": 22}]}])


@pytest.mark.parametrize(
    "key", ["app.kubernetes.io/name", "app.kubernetes.io/managed-by", "kworkspace.io/anything"]
)
def test_labels_of_its_own(key: str) -> None:
    with pytest.raises(SchemaError, match=f"'{key}' is one of kworkspace's own labels"):
        check_label(key)


@pytest.mark.parametrize("key", ["app.kubernetes.io/part-of", "team", "example.org/kworkspace.io"])
def test_other_labels(key: str) -> None:
    check_label(key)
