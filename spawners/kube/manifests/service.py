"""The Service by which a workspace is reached without the gateway, if there is to be one."""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.manifests.meta import metadata, own_labels
from kworkspace.spawners.kube.merge import merge
from kworkspace.spawners.kube.names import Names, service_port
from kworkspace.spawners.kube.own import SSH_PORT

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

_SELECTED_BY = ("app.kubernetes.io/managed-by", "kworkspace.io/hub", "kworkspace.io/server")


def make_service(
    options: "KubeSpawnerOptions", workspace: Workspace, names: Names
) -> dict[str, Any] | None:
    """Return the Service, or None if there is to be none."""
    if options.service_type == "none":
        return None
    labels = own_labels(options.hub_id, workspace)
    port = {
        "name": SSH_PORT,
        "port": service_port(options),
        "targetPort": SSH_PORT,
        "protocol": "TCP",
    }
    spec = {
        "type": options.service_type,
        "selector": {key: labels[key] for key in _SELECTED_BY},
        "ports": [port],
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(
            options,
            workspace,
            names,
            names.service,
            labels=options.extra_labels,
            annotations={**options.extra_annotations, **options.service_annotations},
        ),
        "spec": merge(spec, options.extra_service_config),
    }
