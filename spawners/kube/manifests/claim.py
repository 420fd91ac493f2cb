"""The PersistentVolumeClaim that a workspace's home is on."""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.manifests.meta import metadata
from kworkspace.spawners.kube.names import Names, shares_claim, template_fields
from kworkspace.spawners.kube.templates import expand_all

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

_OF_ONE_WORKSPACE = ("kworkspace.io/server", "kworkspace.io/server-name", "kworkspace.io/slug")


def has_claim(options: "KubeSpawnerOptions") -> bool:
    """Whether workspaces have claims."""
    return bool(options.storage_pvc_ensure and options.storage_capacity)


def make_claim(
    options: "KubeSpawnerOptions", workspace: Workspace, names: Names
) -> dict[str, Any] | None:
    """Return the claim, or None if there is to be none.

    One that all workspaces of a user share says nothing of any of them.
    """
    if not has_claim(options):
        return None
    meta = metadata(
        options,
        workspace,
        names,
        names.claim,
        labels=options.storage_extra_labels,
        annotations=options.storage_extra_annotations,
    )
    if shares_claim(options):
        for key in _OF_ONE_WORKSPACE:
            meta["labels"].pop(key, None)
            meta["annotations"].pop(key, None)
    spec: dict[str, Any] = {
        "accessModes": list(options.storage_access_modes),
        "resources": {"requests": {"storage": options.storage_capacity}},
    }
    if options.storage_class is not None:
        spec["storageClassName"] = options.storage_class
    if options.storage_selector:
        values = template_fields(options, workspace, names)
        spec["selector"] = expand_all(options.storage_selector, values)
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
