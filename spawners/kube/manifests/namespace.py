"""The namespace of a user, where each has one."""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import templates
from kworkspace.spawners.kube.manifests.meta import expanded_labels, hub_labels
from kworkspace.spawners.kube.names import Names, template_fields

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions


def make_namespace(
    options: "KubeSpawnerOptions", workspace: Workspace, names: Names
) -> dict[str, Any]:
    """Return the namespace that a workspace is in, as it is made when it is missing."""
    values = template_fields(options, workspace, names)
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": names.namespace,
            "labels": {
                **options.common_labels,
                **expanded_labels(options.user_namespace_labels, values),
                **hub_labels(options.hub_id),
            },
            "annotations": templates.expand_all(options.user_namespace_annotations, values),
        },
    }
