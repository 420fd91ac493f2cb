"""The affinity of a pod, from the six lists of the configuration. Pure."""

from typing import TYPE_CHECKING, Any

from kworkspace.spawners.kube.traits import listed

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def affinity(options: "KubeSpawnerOptions") -> dict[str, Any]:
    """Return the `affinity` of a pod's spec, empty if nothing is configured."""
    node = _terms(options.node_affinity_preferred, options.node_affinity_required)
    if _REQUIRED in node:
        node[_REQUIRED] = {"nodeSelectorTerms": node[_REQUIRED]}
    made = {
        "nodeAffinity": node,
        "podAffinity": _terms(options.pod_affinity_preferred, options.pod_affinity_required),
        "podAntiAffinity": _terms(
            options.pod_anti_affinity_preferred, options.pod_anti_affinity_required
        ),
    }
    return {key: value for key, value in made.items() if value}


def _terms(preferred: Any, required: Any) -> dict[str, Any]:
    terms = {_PREFERRED: listed(preferred), _REQUIRED: listed(required)}
    return {key: value for key, value in terms.items() if value}
