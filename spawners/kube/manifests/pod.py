"""The Pod of a workspace: defaults, pod_template, options, and what kworkspace itself decides.

Each counts more than those before it.
"""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import templates
from kworkspace.spawners.kube.affinity import affinity
from kworkspace.spawners.kube.environment import variables
from kworkspace.spawners.kube.identity import (
    Identity,
    container_context,
    identity,
    pod_context,
)
from kworkspace.spawners.kube.manifests.claim import has_claim
from kworkspace.spawners.kube.manifests.meta import metadata
from kworkspace.spawners.kube.merge import merge, merge_all
from kworkspace.spawners.kube.names import Names, template_fields
from kworkspace.spawners.kube.own import (
    BOOT,
    CONTAINER,
    FILES_DIR,
    FILES_VOLUME,
    HOME_VOLUME,
    PROFILE,
    RUN_DIR,
    RUN_VOLUME,
    SSH_PORT,
)
from kworkspace.spawners.kube.resources import resources
from kworkspace.spawners.kube.traits import listed

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

_ROOT_ONLY = 0o400
_EVERYBODY = 0o444  # of a container that has one user
# What a plain user cannot write.
_OVER_THE_IMAGE = {"passwd": "/etc/passwd", "group": "/etc/group", "profile.sh": PROFILE}
_IN_MEMORY = {"medium": "Memory", "sizeLimit": "16Mi"}  # no place to keep things past mem_limit
# SSH is asked for until it answers, and never after that: each time would be a process in the
# workspace, and a line in its log. The bootstrap ends when its SSH server does.
_STARTUP_PROBE = {
    "tcpSocket": {"port": SSH_PORT},
    "periodSeconds": 1,
    "failureThreshold": 86400,  # how long a start may take is `start_timeout`
}


def make_pod(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    *,
    account: str,
    host_key: str,
) -> dict[str, Any]:
    """Return the Pod.

    Args:
        options: as `profiles.resolve` returns them.
        workspace: whose it is.
        names: of its objects, the claim's as it really is.
        account: the Unix account to log in as.
        host_key: the public host key, an OpenSSH line.
    """
    values = {**template_fields(options, workspace, names), "account": account}
    who = identity(options, workspace, names)
    template = templates.expand_all(options.pod_template or {}, values, lenient=True)
    spec = merge_all(
        _defaults(options),
        template.get("spec") or {},
        _configured(options, values),
        _extra(options, values),
        _decided(options, workspace, names, account, who),
    )
    meta = metadata(
        options,
        workspace,
        names,
        names.pod,
        labels=options.extra_labels,
        annotations=options.extra_annotations,
    )
    theirs = dict(template.get("metadata") or {})
    if theirs.get("labels"):
        theirs["labels"] = {
            key: templates.label_value(text) for key, text in theirs["labels"].items()
        }
    meta["annotations"] |= {"kworkspace.io/host-key": host_key, "kworkspace.io/account": account}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": merge(theirs, meta),
        "spec": spec,
    }


def _defaults(options: "KubeSpawnerOptions") -> dict[str, Any]:
    """What counts less than a template."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [{"name": CONTAINER, "image": options.image}],
    }


def _configured(options: "KubeSpawnerOptions", values: dict[str, str]) -> dict[str, Any]:
    """What the options say."""
    automount: bool | str | None = options.automount_service_account_token
    if automount is None:
        automount = bool(options.service_account)
    elif not options.is_set("automount_service_account_token"):
        automount = ""
    container = {
        "name": CONTAINER,
        "image": options.image if options.is_set("image") else "",
        "imagePullPolicy": options.image_pull_policy or "",
        "workingDir": _expanded(options.working_dir, values),
        "env": variables(options.environment, values),
        "resources": resources(options),
        "lifecycle": options.lifecycle_hooks,
        "volumeMounts": templates.expand_all(listed(options.volume_mounts), values),
    }
    spec = {
        "containers": [
            _said(container),
            *templates.expand_all(listed(options.extra_containers), values),
        ],
        "initContainers": templates.expand_all(listed(options.init_containers), values),
        "volumes": templates.expand_all(listed(options.volumes), values),
        "imagePullSecrets": options.image_pull_secrets,
        "serviceAccountName": _expanded(options.service_account, values),
        "automountServiceAccountToken": automount,
        "nodeSelector": options.node_selector,
        "tolerations": listed(options.tolerations),
        "affinity": affinity(options),
        "priorityClassName": options.priority_class_name or "",
        "schedulerName": options.scheduler_name or "",
        "runtimeClassName": options.runtime_class_name or "",
    }
    return _said(spec)


def _extra(options: "KubeSpawnerOptions", values: dict[str, str]) -> dict[str, Any]:
    """What an admin has merged over the options."""
    container = {**options.extra_container_config, "name": CONTAINER}
    return merge(
        {"containers": [container]}, templates.expand_all(options.extra_pod_config, values)
    )


def _decided(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    account: str,
    who: Identity,
) -> dict[str, Any]:
    """What a workspace stands on."""
    mounts = [{"name": FILES_VOLUME, "mountPath": FILES_DIR, "readOnly": True}]
    volumes: list[dict[str, Any]] = [
        {
            "name": FILES_VOLUME,
            "secret": {
                "secretName": names.secret,
                "defaultMode": _EVERYBODY if who.plain else _ROOT_ONLY,
            },
        }
    ]
    if who.plain:
        mounts += [
            {"name": FILES_VOLUME, "mountPath": path, "subPath": name, "readOnly": True}
            for name, path in _OVER_THE_IMAGE.items()
        ]
        mounts.append({"name": RUN_VOLUME, "mountPath": RUN_DIR})
        volumes.append({"name": RUN_VOLUME, "emptyDir": _IN_MEMORY})
    if has_claim(options):
        mounts.insert(0, {"name": HOME_VOLUME, "mountPath": who.home})
        volumes.insert(
            0, {"name": HOME_VOLUME, "persistentVolumeClaim": {"claimName": names.claim}}
        )
    boot = {
        "MODE": "user" if who.plain else "root",
        "USER": account,
        "UID": str(who.uid),
        "GID": str(who.gid),
        "HOME": who.home,
        "SHELL": who.shell,
        "GROUPS": " ".join(map(str, who.more_gids)),
        "SUDO": "1" if options.sudo else "0",
        "PORT": str(options.ssh_port),
        "PRINCIPAL": workspace.id,
    }
    container = {
        "name": CONTAINER,
        "command": ["/bin/sh", f"{FILES_DIR}/bootstrap.sh"],
        "env": [{"name": f"{BOOT}{key}", "value": value} for key, value in boot.items()],
        "ports": [{"name": SSH_PORT, "containerPort": options.ssh_port, "protocol": "TCP"}],
        "startupProbe": _STARTUP_PROBE,
        "securityContext": container_context(options, who),
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": options.delete_grace_period,
        "securityContext": pod_context(options, who),
        "containers": [container],
        "volumes": volumes,
    }


def _expanded(template: str | None, values: dict[str, str]) -> str:
    return "" if template is None else templates.expand(template, values)


def _said(part: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nothing was said of."""
    return {key: value for key, value in part.items() if value not in ("", {}, [])}
