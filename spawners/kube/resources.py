"""The resources of a workspace's container, from the options that say them. Pure."""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.kube.quantities import parse_quantity

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions


def resources(options: "KubeSpawnerOptions") -> dict[str, Any]:
    """Return `limits` and `requests`, each only if something is in it.

    No limit is None or 0. A guarantee of 0 says something where there is a limit, since Kubernetes
    would guarantee the limit.
    """
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    for resource, limit, guarantee in (
        ("cpu", options.cpu_limit, options.cpu_guarantee),
        ("memory", options.mem_limit, options.mem_guarantee),
    ):
        limited = limit is not None and bool(parse_quantity(limit))
        if limited:
            limits[resource] = limit
        if guarantee is not None and (limited or parse_quantity(guarantee)):
            requests[resource] = guarantee
    if options.gpu_limit:
        limits[options.gpu_resource] = str(options.gpu_limit)
    limits |= options.extra_resource_limits
    requests |= options.extra_resource_guarantees
    return {key: value for key, value in (("limits", limits), ("requests", requests)) if value}
