"""The Job that does work beside a workspace's home, such as a backup."""

import secrets
from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Task, Workspace
from kworkspace.spawners.kube.identity import identity
from kworkspace.spawners.kube.manifests.meta import metadata
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.names import Names, account_name
from kworkspace.spawners.kube.own import CONTAINER, FILES_VOLUME, RUN_VOLUME

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

COMPONENT = "app.kubernetes.io/component"
RESULT = "/dev/termination-log"
KEPT_SECONDS = 600  # the cluster removes it if the hub that made it cannot
_MOST = 63 - 9
_OF_SSH = frozenset({FILES_VOLUME, RUN_VOLUME})
# Without these it could not be pulled, admitted or placed where the workspace can.
_AS_THE_POD = (
    "securityContext",
    "serviceAccountName",
    "imagePullSecrets",
    "tolerations",
    "runtimeClassName",
    "hostUsers",
    "priorityClassName",
    "schedulerName",
)


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
    """Return the spec of a Job's pod: what the workspace's own has of volumes, rights and place."""
    account = account_name(options, workspace)
    pod = make_pod(options, workspace, names, account=account, host_key="")["spec"]
    main = next(one for one in pod["containers"] if one["name"] == CONTAINER)
    home = identity(options, workspace, names).home
    # What is empty at first is the Job's own: a place for temporary files, and for writing.
    empty = {one["name"] for one in pod["volumes"] if "emptyDir" in one or "ephemeral" in one}
    mounts = [
        {**mount, "readOnly": True} if task.read_only and mount["name"] not in empty else mount
        for mount in main["volumeMounts"]
        if mount["name"] not in _OF_SSH
    ]
    used = {mount["name"] for mount in mounts}
    environment = {**task.environment, "HOME": home, "KWORKSPACE_TASK_RESULT": RESULT}
    container = {
        "name": CONTAINER,
        "image": task.image or main["image"],
        "imagePullPolicy": None if task.image else main.get("imagePullPolicy"),
        "command": list(task.argv),
        "workingDir": home,
        "env": [{"name": key, "value": text} for key, text in sorted(environment.items())],
        "resources": options.task_resources,
        "securityContext": main["securityContext"],
        "terminationMessagePath": RESULT,
        "volumeMounts": mounts,
    }
    spec = {
        **{key: pod[key] for key in _AS_THE_POD if key in pod},
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [{key: value for key, value in container.items() if value}],
        "volumes": [volume for volume in pod["volumes"] if volume["name"] in used],
        "nodeSelector": None if node else pod.get("nodeSelector"),
        "affinity": _on(node) if node else None,
    }
    return {key: value for key, value in spec.items() if value not in (None, [], {})}


def _on(node: str) -> dict[str, Any]:
    """Return the affinity to one node, which the scheduler still checks for room."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    term = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
