"""Kubernetes' own Event objects, counted as the kubelet counts them."""

import itertools
import time

from tests.kube_api.kinds import EVENTS
from tests.kube_api.objects import Object, clone, dig, new_uid, now, now_micro
from tests.kube_api.store import Store

_serial = itertools.count(time.time_ns())


class Recorder:
    """Writes the events of one component.

    Args:
        host: the node's name, "" for what is not the kubelet.
    """

    def __init__(self, store: Store, component: str, host: str = "") -> None:
        self._store = store
        self._component = component
        self._host = host
        self._names: dict[tuple[str, str, str], str] = {}

    def __call__(
        self, thing: Object, reason: str, message: str, *, warning: bool = False, path: str = ""
    ) -> None:
        """Record that something happened to an object; the same again only counts."""
        metadata = thing["metadata"]
        namespace = metadata.get("namespace") or "default"
        key = (metadata["uid"], reason, message)
        name = self._names.get(key)
        if name and self._store.edit(EVENTS, namespace, name, _again):
            return
        if len(self._names) > 10_000:
            self._names.clear()
        self._names[key] = name = f"{metadata['name']}.{next(_serial):x}"
        if dig(self._store.get("namespaces", "", namespace), "status", "phase") != "Active":
            return
        event: Object = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": new_uid(),
                "creationTimestamp": now(),
            },
            "involvedObject": {
                "kind": thing["kind"],
                "namespace": namespace,
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": thing["apiVersion"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
        }
        if path:
            event["involvedObject"]["fieldPath"] = path
        self._store.put(EVENTS, event | self._origin())

    def _origin(self) -> Object:
        """Who says it: the scheduler speaks the newer form, kubelet and controllers the older."""
        if self._component == "default-scheduler":
            return {
                "source": {},
                "firstTimestamp": None,
                "lastTimestamp": None,
                "eventTime": now_micro(),
                "action": "Binding",
                "reportingComponent": self._component,
                "reportingInstance": f"{self._component}-vm",
            }
        source = {"component": self._component}
        if self._host:
            source["host"] = self._host
        return {
            "source": source,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }


def _again(event: Object) -> None:
    if event["eventTime"] is not None:
        event["series"] = {
            "count": dig(clone(event), "series", "count", default=1) + 1,
            "lastObservedTime": now_micro(),
        }
        return
    event["count"] += 1
    event["lastTimestamp"] = now()
