"""What kworkspace itself decides of a pod, which no option may: its container's name, command and
port, its own volumes and paths, the labels that it is found by.

Called when options are checked. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kworkspace.spawners.kube.schema import SchemaError

CONTAINER = "workspace"
SSH_PORT = "ssh"
HOME_VOLUME = "home"
FILES_VOLUME = "kworkspace-ssh"
RUN_VOLUME = "kworkspace-run"
OWN_VOLUMES = (HOME_VOLUME, FILES_VOLUME, RUN_VOLUME)
FILES_DIR = "/etc/kworkspace"
RUN_DIR = "/run/kworkspace"
PROFILE = "/etc/profile.d/kworkspace.sh"
OWN_PATHS = (FILES_DIR, RUN_DIR, "/etc/passwd", "/etc/group", PROFILE)
BOOT = "KWORKSPACE_BOOT_"
OWN_LABELS = frozenset(
    {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/managed-by"}
)
OWN_PREFIX = "kworkspace.io/"
_CONTAINER_KEYS = {
    "command": "the command is kworkspace's bootstrap",
    "args": "the command is kworkspace's bootstrap",
    "readinessProbe": "kworkspace asks whether SSH answers",
    "startupProbe": "kworkspace asks whether SSH answers",
}
_SPEC_KEYS = {
    "restartPolicy": "a workspace's pod is never restarted in place",
    "terminationGracePeriodSeconds": "set c.KubeSpawner.delete_grace_period",
    "ephemeralContainers": "a new pod has none",
    "nodeName": "set c.KubeSpawner.node_selector",
}


def check_spec(spec: Mapping[str, Any]) -> None:
    """Refuse a part of a pod's spec that decides what kworkspace decides.

    Args:
        spec: from a template or another option, with Kubernetes' own keys.

    Raises:
        SchemaError: it names the field.
    """
    for key, why in _SPEC_KEYS.items():
        if spec.get(key) is not None:
            raise SchemaError(f"'{key}' cannot be set here: {why}")
    if spec.get("hostNetwork"):
        raise SchemaError("'hostNetwork' cannot be set: the workspace's port would be the node's")
    check_volumes(spec.get("volumes") or ())
    check_init_containers(spec.get("initContainers") or ())
    for container in spec.get("containers") or ():
        if container["name"] == CONTAINER:
            check_container(container)
        else:
            check_sidecars([container])


def check_container(container: Mapping[str, Any]) -> None:
    """Refuse a part of the workspace's container that decides what kworkspace decides.

    Raises:
        SchemaError: it names the field.
    """
    if container.get("name") not in {None, CONTAINER}:
        raise SchemaError(f"'name' cannot be set: the workspace's container is '{CONTAINER}'")
    for key, why in _CONTAINER_KEYS.items():
        if container.get(key) is not None:
            raise SchemaError(f"'{key}' of the container '{CONTAINER}' cannot be set: {why}")
    if container.get("image") is not None and not container["image"].strip():
        raise SchemaError(f"the image of the container '{CONTAINER}' is empty")
    for port in container.get("ports") or ():
        if port.get("name") == SSH_PORT:
            raise SchemaError(
                f"the port '{SSH_PORT}' is kworkspace's own: set c.KubeSpawner.ssh_port"
            )
    check_mounts(container.get("volumeMounts") or ())
    for variable in container.get("env") or ():
        if variable["name"].startswith(BOOT):
            raise SchemaError(f"the variable {variable['name']} is the bootstrap's")


def check_volumes(volumes: Iterable[Mapping[str, Any]]) -> None:
    """Refuse volumes with the names of kworkspace's own, and such as are of no kind.

    Raises:
        SchemaError: it names the volume.
    """
    for volume in volumes:
        if volume["name"] in OWN_VOLUMES:
            raise SchemaError(f"the volume '{volume['name']}' is kworkspace's own")


def check_mounts(mounts: Iterable[Mapping[str, Any]]) -> None:
    """Refuse mounts of kworkspace's own volumes, or over its own files.

    Raises:
        SchemaError: it names the mount.
    """
    for mount in mounts:
        path = mount["mountPath"].rstrip("/") or "/"
        if mount["name"] in OWN_VOLUMES:
            raise SchemaError(f"the volume '{mount['name']}' is mounted by kworkspace itself")
        if path in OWN_PATHS or any(path.startswith(f"{own}/") for own in (FILES_DIR, RUN_DIR)):
            raise SchemaError(f"{path} is where kworkspace mounts its own files")


def check_sidecars(containers: Iterable[Mapping[str, Any]]) -> None:
    """Refuse containers beside the workspace's that cannot be one.

    Raises:
        SchemaError: no image, or the name or the port's name of the workspace's own.
    """
    for container in containers:
        check_init_containers([container])
        for port in container.get("ports") or ():
            if port.get("name") == SSH_PORT:
                raise SchemaError(f"the port '{SSH_PORT}' is the workspace's own")


def check_init_containers(containers: Iterable[Mapping[str, Any]]) -> None:
    """Refuse containers before the workspace's that cannot be one.

    Raises:
        SchemaError: no image, or the name of the workspace's own.
    """
    for container in containers:
        if container["name"] == CONTAINER:
            raise SchemaError(f"the container '{CONTAINER}' is the workspace's own")
        if not (container.get("image") or "").strip():
            raise SchemaError(f"the container '{container['name']}' has no image")


def check_label(key: str) -> None:
    """Refuse one of kworkspace's own labels.

    Raises:
        SchemaError: it is one.
    """
    if key in OWN_LABELS or key.startswith(OWN_PREFIX):
        raise SchemaError(f"'{key}' is one of kworkspace's own labels")
