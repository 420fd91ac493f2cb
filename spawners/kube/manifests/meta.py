"""Metadata of all objects: the labels that they are found by, annotations, what admins add."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import templates
from kworkspace.spawners.kube.names import Names, template_fields

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions


def metadata(
    options: "KubeSpawnerOptions",
    workspace: Workspace,
    names: Names,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return an object's metadata.

    Args:
        options: the configuration.
        workspace: whose it is.
        names: of its objects.
        name: of this one.
        labels: what an admin adds: templates.
        annotations: what an admin adds: templates.
    """
    values = template_fields(options, workspace, names)
    return {
        "name": name,
        "namespace": names.namespace,
        "labels": {
            **expanded_labels(options.common_labels, {}),
            **expanded_labels(labels or {}, values),
            **own_labels(options.hub_id, workspace),
        },
        "annotations": {
            **templates.expand_all(annotations or {}, values),
            **own_annotations(workspace),
        },
    }


def own_labels(hub_id: str, workspace: Workspace) -> dict[str, str]:
    """Return the labels that a workspace's objects are found by."""
    return {
        **hub_labels(hub_id),
        "app.kubernetes.io/component": "workspace",
        "kworkspace.io/server": workspace.id,
        "kworkspace.io/user": templates.user_label(workspace.user),
    }


def hub_labels(hub_id: str) -> dict[str, str]:
    """Return the labels of everything that a hub makes."""
    return {
        "app.kubernetes.io/name": "kworkspace",
        "app.kubernetes.io/managed-by": "kworkspace",
        "kworkspace.io/hub": hub_id,
    }


def own_annotations(workspace: Workspace) -> dict[str, str]:
    """Return what an object says of its workspace."""
    return {
        "kworkspace.io/user-name": workspace.user,
        "kworkspace.io/server-name": workspace.name,
        "kworkspace.io/slug": workspace.slug,
    }


def expanded_labels(labels: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Expand labels to values that Kubernetes allows."""
    if not values:
        return dict(labels)
    return {
        key: templates.label_value(templates.expand(text, values)) for key, text in labels.items()
    }
