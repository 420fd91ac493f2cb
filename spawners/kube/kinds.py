"""The kinds of objects that the spawner touches, and how their paths are spelt."""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """What the API calls a kind.

    Attributes:
        group: the API group, "" for the core.
        version: of the group.
        plural: the word in paths and in RBAC rules.
        name: the word in an object's `kind`.
        namespaced: whether its objects live in a namespace.
    """

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What stands in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version


class Kind(Enum):
    """A kind of objects; its value says how the API spells it."""

    POD = Resource("", "v1", "pods", "Pod")
    CLAIM = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
    SECRET = Resource("", "v1", "secrets", "Secret")
    SERVICE = Resource("", "v1", "services", "Service")
    EVENT = Resource("", "v1", "events", "Event")
    JOB = Resource("batch", "v1", "jobs", "Job")
    NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
    POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
    ACCESS_REVIEW = Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
    )

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the path of the kind's objects, of one of them, or of a part of one.

        Args:
            namespace: None for those of all namespaces.
            name: of one object.
            subresource: as "log".
        """
        resource = self.value
        start = f"/apis/{resource.group}" if resource.group else "/api"
        path = f"{start}/{resource.version}"
        if namespace is not None and resource.namespaced:
            path += f"/namespaces/{quote(namespace, safe='')}"
        path += f"/{resource.plural}"
        if name:
            path += f"/{quote(name, safe='')}"
        return f"{path}/{subresource}" if subresource else path
