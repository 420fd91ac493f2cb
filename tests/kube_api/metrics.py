"""metrics.k8s.io, installed or not."""

from tests.kube_api.api.statuses import no_such_path, not_found
from tests.kube_api.kinds import PODS
from tests.kube_api.objects import Object, containers, dig, now
from tests.kube_api.store import Store


class Metrics:
    """What metrics-server says of pods.

    Attributes:
        installed: whether there is one.
        usage: by (namespace, pod), what its first container uses: {"cpu": "12m", "memory": "9Mi"}.
    """

    def __init__(self, store: Store) -> None:
        self.installed = False
        self.usage: dict[tuple[str, str], dict[str, str]] = {}
        self._store = store

    def __call__(self, namespace: str, name: str) -> Object:
        """Answer a list, or a get where a name is given.

        Raises:
            Refusal: 404; plain text where nothing is installed.
        """
        if not self.installed:
            raise no_such_path()
        if name:
            if (namespace, name) not in self.usage:
                raise not_found(PODS, name)
            return {"kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1"} | self._one(
                namespace, name
            )
        items = [
            self._one(*key)
            for key in sorted(self.usage)
            if namespace in {"", key[0]} and self._store.get(PODS, *key) is not None
        ]
        return {
            "kind": "PodMetricsList",
            "apiVersion": "metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": items,
        }

    def _one(self, namespace: str, name: str) -> Object:
        pod = self._store.get(PODS, namespace, name)
        first = containers(pod)[0]["name"] if pod is not None else "workspace"
        return {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": now(),
                "labels": dig(pod, "metadata", "labels", default={}),
            },
            "timestamp": now(),
            "window": "15s",
            "containers": [{"name": first, "usage": self.usage[namespace, name]}],
        }
