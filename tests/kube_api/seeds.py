"""What stands in a new cluster."""

from tests.kube_api.objects import Object


def node(name: str, labels: dict[str, str] | None = None, **allocatable: str) -> Object:
    """Return a node; more of what it has is given by name, with `__` for `/` and `_` for `.`."""
    more = {key.replace("__", "/").replace("_", "."): value for key, value in allocatable.items()}
    has = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "10000"} | more
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            | (labels or {}),
        },
        "spec": {},
        "status": {
            "capacity": has,
            "allocatable": has,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {"kubeletVersion": "v1.36.0"},
        },
    }


def storage_class(
    name: str, mode: str = "WaitForFirstConsumer", *, default: bool = False, grows: bool = True
) -> Object:
    """Return a storage class that has a provisioner."""
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": notes},
        "provisioner": "csi.test",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": mode,
        "allowVolumeExpansion": grows,
    }


def quota(namespace: str, **hard: str) -> Object:
    """Return a ResourceQuota named q; `requests_storage` stands for `requests.storage`."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": namespace},
        "spec": {"hard": {key.replace("_", "."): value for key, value in hard.items()}},
    }


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


SEEDS: tuple[Object, ...] = (
    _namespace("default"),
    _namespace("kube-system"),
    _namespace("workspaces"),
    node("node1"),
    storage_class("standard", default=True),
    storage_class("immediate", "Immediate"),
)
