"""Options of a workspace's volume, and of the Service by which it is reached directly.

Names and meanings are KubeSpawner's where it has the option. `config.KubeSpawnerOptions` inherits
them; nothing else uses this module.
"""

from collections.abc import Mapping
from typing import Any

from traitlets import Bool, Enum, HasTraits

from kworkspace.spawners.kube.schema import SchemaError
from kworkspace.spawners.kube.traits import (
    Annotations,
    Choices,
    Labels,
    MaybeEmpty,
    Number,
    Object,
    Quantity,
)

_DECIDED = {
    "type": "set c.KubeSpawner.service_type",
    "selector": "it selects the workspace's pod",
    "ports": "set c.KubeSpawner.service_port",
}


def _check_service(spec: Mapping[str, Any]) -> None:
    for key, why in _DECIDED.items():
        if key in spec:
            raise SchemaError(f"'{key}' cannot be set here: {why}")


class StorageOptions(HasTraits):
    """What can be set of the volume and the Service."""

    storage_pvc_ensure = Bool(
        True,
        help="""Whether each workspace has a PersistentVolumeClaim, mounted at home_dir. Without
        one, and without a volume of yours there, a home is lost with its pod.""",
    ).tag(config=True)

    storage_capacity = Quantity(
        "10Gi",
        allow_none=True,
        help="""How large a volume is. When it is raised, claims grow at the next start, where the
        storage class can. None: no claim, as with storage_pvc_ensure = False.""",
    ).tag(config=True)

    storage_class = MaybeEmpty(
        help="""The StorageClass of volumes. None: the cluster's default; "": volumes that were made
        by hand, without a class."""
    ).tag(config=True)

    storage_access_modes = Choices(
        ["ReadWriteOnce"],
        choices=("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
        help="""How volumes can be mounted: ReadWriteOnce (by one node), ReadWriteOncePod (by one
        pod: no backup while the workspace runs), ReadWriteMany.""",
    ).tag(config=True)

    storage_selector = Object(
        "V1LabelSelector",
        templated=True,
        partial=True,
        help='A selector of volumes made by hand: {"matchLabels": {"for": "{username}"}}.',
    ).tag(config=True)

    storage_extra_labels = Labels(
        templated=True, help="More labels of claims; values are templates."
    ).tag(config=True)

    storage_extra_annotations = Annotations(
        templated=True, help="Annotations of claims; values are templates."
    ).tag(config=True)

    delete_pvc = Bool(
        True, help="Whether a claim is deleted with its workspace or user, the home in it."
    ).tag(config=True)

    service_type = Enum(
        ("none", "ClusterIP", "NodePort", "LoadBalancer"),
        default_value="none",
        help="""A Service for each workspace, for direct SSH to it past the gateway: NodePort and
        LoadBalancer from outside, ClusterIP from within. The gateway needs none; with a ClusterIP
        it goes through it.""",
    ).tag(config=True)

    service_port = Number(
        None,
        least=1,
        most=65535,
        help="The Service's port. None: 22, and `ssh_port` for a ClusterIP.",
    ).tag(config=True)

    service_annotations = Annotations(
        templated=True, help="Annotations of Services, as load balancers want them."
    ).tag(config=True)

    extra_service_config = Object(
        "V1ServiceSpec",
        partial=True,
        also=_check_service,
        help='Anything else of the Service\'s spec: {"loadBalancerSourceRanges": ["10.0.0.0/8"]}.',
    ).tag(config=True)
