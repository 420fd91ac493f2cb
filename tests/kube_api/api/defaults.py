"""What the API server fills in: defaults of each kind, as the recordings show them.

`complete` runs on every write, after decoding and before validation, and may be run again.
"""

import base64
import random
from collections.abc import Callable

from tests.kube_api.api.pod_defaults import complete_pod, complete_pod_spec, qos_class
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
FIRST_NODE_PORT, LAST_NODE_PORT = 30000, 32767


def suffix() -> str:
    """Return five letters as generateName appends them."""
    return "".join(random.choices(_ALPHABET, k=5))


def complete(resource: Resource, thing: Object, store: Store) -> None:
    """Fill in an object's defaults, in place."""
    if (fill := _KINDS.get(resource.plural)) is not None:
        fill(thing, store)


def start_status(resource: Resource, thing: Object) -> None:
    """Set the status with which an object begins, whatever the client sent."""
    if resource.plural != "nodes":
        thing.pop("status", None)
    match resource.plural:
        case "pods":
            thing["status"] = {"phase": "Pending", "qosClass": qos_class(thing)}
        case "persistentvolumeclaims" | "persistentvolumes":
            thing["status"] = {"phase": "Pending"}
            finalizer = "kubernetes.io/pv-protection"
            if resource.plural == "persistentvolumeclaims":
                finalizer = "kubernetes.io/pvc-protection"
            finalizers = thing["metadata"].setdefault("finalizers", [])
            if finalizer not in finalizers:
                finalizers.append(finalizer)
        case "services":
            thing["status"] = {"loadBalancer": {}}
        case "namespaces":
            thing["status"] = {"phase": "Active"}
        case "jobs":
            thing["status"] = {}
        case _:
            pass


def _secret(thing: Object, store: Store) -> None:
    thing.setdefault("type", "Opaque")
    for key, text in thing.pop("stringData", {}).items():
        encoded = base64.b64encode(text.encode()).decode()
        thing.setdefault("data", {})[key] = encoded


def _claim(thing: Object, store: Store) -> None:
    spec = thing.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("resources", {})
    if "storageClassName" not in spec:
        for storage_class in store.values("storageclasses"):
            notes = dig(storage_class, "metadata", "annotations", default={})
            if notes.get("storageclass.kubernetes.io/is-default-class") == "true":
                spec["storageClassName"] = storage_class["metadata"]["name"]


def _service(thing: Object, store: Store) -> None:
    spec = thing.setdefault("spec", {})
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if kind == "ExternalName":
        return
    outside = kind in {"NodePort", "LoadBalancer"}
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
        if outside and not port.get("nodePort"):
            port["nodePort"] = _free_node_port(store)
    if "clusterIP" not in spec:
        spec["clusterIP"] = f"10.96.{random.randrange(256)}.{random.randrange(1, 255)}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if outside:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _free_node_port(store: Store) -> int:
    taken = {
        port.get("nodePort")
        for service in store.values("services")
        for port in dig(service, "spec", "ports", default=[])
    }
    while (port := random.randint(FIRST_NODE_PORT, LAST_NODE_PORT)) in taken:
        pass
    return port


def _job(thing: Object, store: Store) -> None:
    spec = thing.setdefault("spec", {})
    for key, value in (
        ("backoffLimit", 6),
        ("completionMode", "NonIndexed"),
        ("completions", 1),
        ("manualSelector", False),
        ("parallelism", 1),
        ("podReplacementPolicy", "TerminatingOrFailed"),
        ("suspend", False),
    ):
        spec.setdefault(key, value)
    template = spec.setdefault("template", {})
    complete_pod_spec(template.setdefault("spec", {}))
    uid, name = thing["metadata"].get("uid"), thing["metadata"].get("name")
    if uid is None or name is None or "selector" in spec:
        return
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    labels |= {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }


def _namespace(thing: Object, store: Store) -> None:
    metadata = thing["metadata"]
    labels = metadata.setdefault("labels", {})
    if "name" in metadata:
        labels["kubernetes.io/metadata.name"] = metadata["name"]
    thing.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])


def _templated(thing: Object, store: Store) -> None:
    complete_pod_spec(thing["spec"].setdefault("template", {}).setdefault("spec", {}))


_KINDS: dict[str, Callable[[Object, Store], None]] = {
    "pods": complete_pod,
    "secrets": _secret,
    "persistentvolumeclaims": _claim,
    "services": _service,
    "jobs": _job,
    "namespaces": _namespace,
    "deployments": _templated,
    "statefulsets": _templated,
    "daemonsets": _templated,
}
