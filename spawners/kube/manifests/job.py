"""The Job that does work beside a workspace's home, such as a backup."""

import secrets
from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Task, Workspace
from kworkspace.spawners.kube import templates
from kworkspace.spawners.kube.identity import (
    container_context,
    identity,
    pod_context,
    template_container,
)
from kworkspace.spawners.kube.manifests.claim import has_claim
from kworkspace.spawners.kube.manifests.meta import metadata
from kworkspace.spawners.kube.names import Names, template_fields
from kworkspace.spawners.kube.own import CONTAINER, HOME_VOLUME
from kworkspace.spawners.kube.traits import listed

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

COMPONENT = "app.kubernetes.io/component"
RESULT = "/dev/termination-log"
KEPT_SECONDS = 600  # the cluster removes it if the hub that made it cannot
_MOST = 63 - 9


def make_job(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    task: Task,
    *,
    node: str | None,
) -> dict[str, Any]:
    """Return a Job; each has a name of its own.

    Its pod bears none of the labels that workspaces' pods are found by.

    Args:
        options: as `profiles.resolve` returns them.
        workspace: whose home.
        names: of its objects, the claim's as it really is.
        task: what to run.
        node: where it has to run, None if any will do.
    """
    name = f"{names.pod[: _MOST - len(task.name) - 1].rstrip('-')}-{task.name}"
    meta = metadata(options, workspace, names, f"{name}-{secrets.token_hex(4)}")
    meta["labels"][COMPONENT] = "task"
    meta["labels"]["kworkspace.io/task"] = task.name
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": task.seconds,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {
                    "labels": {
                        "app.kubernetes.io/name": "kworkspace",
                        COMPONENT: "task",
                        "kworkspace.io/task": task.name,
                    }
                },
                "spec": _spec(options, workspace, names, task, node),
            },
        },
    }


def _spec(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    task: Task,
    node: str | None,
) -> dict[str, Any]:
    values = template_fields(options, workspace, names)
    who = identity(options, workspace, names)
    volumes = templates.expand_all(listed(options.volumes), values)
    mounts = templates.expand_all(listed(options.volume_mounts), values)
    if has_claim(options):
        claim = {"claimName": names.claim}
        volumes.insert(0, {"name": HOME_VOLUME, "persistentVolumeClaim": claim})
        mounts.insert(0, {"name": HOME_VOLUME, "mountPath": who.home})
    if task.read_only:
        mounts = [{**mount, "readOnly": True} for mount in mounts]
    environment = {**task.environment, "HOME": who.home, "KWORKSPACE_TASK_RESULT": RESULT}
    image = task.image or _image(options)
    container = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": options.image_pull_policy if image == _image(options) else None,
        "command": list(task.argv),
        "workingDir": who.home,
        "env": [{"name": key, "value": text} for key, text in sorted(environment.items())],
        "resources": options.task_resources,
        "securityContext": container_context(options, who),
        "terminationMessagePath": RESULT,
        "volumeMounts": mounts,
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_context(options, who),
        "containers": [{key: value for key, value in container.items() if value}],
        "volumes": volumes,
        "imagePullSecrets": options.image_pull_secrets,
        "tolerations": listed(options.tolerations),
        "runtimeClassName": options.runtime_class_name,
        "nodeSelector": None if node else options.node_selector,
        "affinity": _on(node) if node else None,
    }
    return {key: value for key, value in spec.items() if value not in (None, [], {})}


def _image(options: "KubeSpawnerOptions") -> str:
    """Return the workspace's own image."""
    template = template_container(options).get("image")
    return str(template if template and not options.is_set("image") else options.image)


def _on(node: str) -> dict[str, Any]:
    """Return the affinity to one node, which the scheduler still checks for room."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    term = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
