"""What kinds of objects there are, how their paths are spelt, and what they can do."""

from dataclasses import dataclass, field

GROUPS = {
    "": "v1",
    "apps": "v1",
    "authorization.k8s.io": "v1",
    "batch": "v1",
    "coordination.k8s.io": "v1",
    "networking.k8s.io": "v1",
    "policy": "v1",
    "rbac.authorization.k8s.io": "v1",
    "scheduling.k8s.io": "v1",
    "storage.k8s.io": "v1",
}


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of object.

    Attributes:
        plural: the word in paths and in RBAC rules.
        subresources: what can stand behind a name.
        answers_object: whether a DELETE that ends the object at once answers with the object.
        has_generation: whether a change of its spec counts in metadata.generation.
    """

    plural: str
    kind: str
    group: str = ""
    namespaced: bool = True
    subresources: frozenset[str] = frozenset()
    answers_object: bool = False
    has_generation: bool = False
    version: str = field(init=False)

    def __post_init__(self) -> None:
        version = GROUPS.get(self.group, "v1beta1")  # metrics.k8s.io, which is not our own
        object.__setattr__(self, "version", version)

    @property
    def api_version(self) -> str:
        """What stands in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name in messages: pods, jobs.batch."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = frozenset({"status"})

RESOURCES = (
    Resource("namespaces", "Namespace", namespaced=False, subresources=frozenset({"status"})),
    Resource("nodes", "Node", namespaced=False, subresources=_STATUS),
    Resource(
        "persistentvolumes",
        "PersistentVolume",
        namespaced=False,
        subresources=_STATUS,
        answers_object=True,
    ),
    Resource(
        "pods",
        "Pod",
        subresources=frozenset({"status", "log", "exec", "eviction", "binding"}),
        answers_object=True,
        has_generation=True,
    ),
    Resource(
        "persistentvolumeclaims", "PersistentVolumeClaim", subresources=_STATUS, answers_object=True
    ),
    Resource("secrets", "Secret"),
    Resource("configmaps", "ConfigMap"),
    Resource("services", "Service", subresources=_STATUS, answers_object=True),
    Resource("events", "Event"),
    Resource("endpoints", "Endpoints"),
    Resource(
        "serviceaccounts",
        "ServiceAccount",
        subresources=frozenset({"token"}),
        answers_object=True,
    ),
    Resource("resourcequotas", "ResourceQuota", subresources=_STATUS, answers_object=True),
    Resource("limitranges", "LimitRange"),
    Resource("jobs", "Job", "batch", subresources=_STATUS, has_generation=True),
    Resource("cronjobs", "CronJob", "batch", subresources=_STATUS, has_generation=True),
    Resource("deployments", "Deployment", "apps", subresources=_STATUS, has_generation=True),
    Resource("statefulsets", "StatefulSet", "apps", subresources=_STATUS, has_generation=True),
    Resource("daemonsets", "DaemonSet", "apps", subresources=_STATUS, has_generation=True),
    Resource("replicasets", "ReplicaSet", "apps", subresources=_STATUS, has_generation=True),
    Resource("leases", "Lease", "coordination.k8s.io"),
    Resource("ingresses", "Ingress", "networking.k8s.io", subresources=_STATUS),
    Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io", has_generation=True),
    Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy", subresources=_STATUS),
    Resource("roles", "Role", "rbac.authorization.k8s.io"),
    Resource("rolebindings", "RoleBinding", "rbac.authorization.k8s.io"),
    Resource("clusterroles", "ClusterRole", "rbac.authorization.k8s.io", namespaced=False),
    Resource(
        "clusterrolebindings", "ClusterRoleBinding", "rbac.authorization.k8s.io", namespaced=False
    ),
    Resource("priorityclasses", "PriorityClass", "scheduling.k8s.io", namespaced=False),
    Resource("storageclasses", "StorageClass", "storage.k8s.io", namespaced=False),
)

BY_PATH = {(resource.group, resource.plural): resource for resource in RESOURCES}
BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}


def named(plural: str) -> Resource:
    """Return a resource by its plural alone, whatever its group.

    Raises:
        KeyError: there is none.
    """
    for resource in RESOURCES:
        if resource.plural == plural:
            return resource
    raise KeyError(plural)


POD_METRICS = Resource("pods", "PodMetrics", "metrics.k8s.io")
PODS = named("pods")
CLAIMS = named("persistentvolumeclaims")
VOLUMES = named("persistentvolumes")
SECRETS = named("secrets")
CONFIG_MAPS = named("configmaps")
SERVICES = named("services")
EVENTS = named("events")
JOBS = named("jobs")
NODES = named("nodes")
NAMESPACES = named("namespaces")
QUOTAS = named("resourcequotas")
STORAGE_CLASSES = named("storageclasses")
