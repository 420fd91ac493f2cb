"""What a pod that is there says of its workspace: who it belongs to and how to reach it.

Everything that another hub process needs to adopt a pod stands on the pod itself, in labels and
annotations (`names.py` and the builders write them). Pure.
"""

from typing import TYPE_CHECKING

from kworkspace.spawners.base import Running, Workspace
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.names import Names, connect_host, names
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.signals import Target, target

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

SERVER_LABEL = "kworkspace.io/server"
HUB_LABEL = "kworkspace.io/hub"
USER_LABEL = "kworkspace.io/user"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
OWNER = "kworkspace"
COMPONENT_LABEL = "app.kubernetes.io/component"
COMPONENT = "workspace"
USER_NAME = "kworkspace.io/user-name"
SERVER_NAME = "kworkspace.io/server-name"
SLUG = "kworkspace.io/slug"
HOST_KEY = "kworkspace.io/host-key"
ACCOUNT = "kworkspace.io/account"
SSH_PORT = "ssh"


def server_of(object: Object) -> str:
    """Return the id of the server that an object belongs to, "" if it bears none."""
    return pods.label(object, SERVER_LABEL)


def workspace_of(object: Object) -> Workspace:
    """Return whose an object is, as far as it says so."""
    return Workspace(
        id=server_of(object),
        user=pods.annotation(object, USER_NAME),
        name=pods.annotation(object, SERVER_NAME),
        slug=pods.annotation(object, SLUG),
    )


def running_of(options: "KubeSpawnerOptions", pod: Object) -> Running:
    """Return a pod as the hub knows it; one that is not up yet has no host."""
    workspace = workspace_of(pod)
    place = _named(names(options, workspace), pod)
    address = pods.address(pod)
    return Running(
        id=workspace.id,
        slug=workspace.slug,
        object_uid=pods.uid(pod),
        host=connect_host(options, workspace, place, address) if address else "",
        port=_port(pod),
        host_key=pods.annotation(pod, HOST_KEY),
        account=pods.annotation(pod, ACCOUNT),
        since=pods.created(pod),
    )


def target_of(pod: Object) -> Target:
    """Return a pod as `signals` looks at it."""
    return target(dict(pod), id=server_of(pod), container=pods.CONTAINER, port=_port(pod))


def _named(made: Names, pod: Object) -> Names:
    """Return names with what the pod is really called: templates may have changed since."""
    metadata = pod["metadata"]
    return Names(
        namespace=str(metadata["namespace"]),
        pod=str(metadata["name"]),
        claim=made.claim,
        secret=made.secret,
        service=made.service,
    )


def _port(pod: Object) -> int:
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if container["name"] == pods.CONTAINER and port.get("name") == SSH_PORT:
                return int(port["containerPort"])
    return 0
