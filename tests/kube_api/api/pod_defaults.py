"""The defaults of pods, and what admission adds to every pod."""

import random
from typing import Any

from tests.kube_api.objects import Object, containers, dig
from tests.kube_api.store import Store

_ACCESS_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def complete_pod(pod: Object, store: Store) -> None:
    """Fill in a pod's defaults, in place; again on a pod that has them it changes nothing."""
    spec = pod.setdefault("spec", {})
    complete_pod_spec(spec)
    for key, value in (
        ("serviceAccountName", "default"),
        ("priority", 0),
        ("enableServiceLinks", True),
        ("preemptionPolicy", "PreemptLowerPriority"),
    ):
        spec.setdefault(key, value)
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    _tolerate_failing_nodes(spec.setdefault("tolerations", []))
    if spec.get("automountServiceAccountToken") is not False and "status" not in pod:
        _mount_account(spec)


def complete_pod_spec(spec: Object) -> None:
    """Fill in what also a template of a pod gets."""
    for key, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        spec.setdefault(key, value)
    spec.setdefault("securityContext", {})
    for volume in spec.get("volumes", []):
        _complete_volume(volume)
    for container in (*spec.get("initContainers", []), *spec.get("containers", [])):
        _complete_container(container)


def _complete_volume(volume: Object) -> None:
    for kind in ("secret", "configMap", "projected", "downwardAPI"):
        if kind in volume:
            volume[kind].setdefault("defaultMode", 420)
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")


def _complete_container(container: Object) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image", "")
    tag = image.rpartition("/")[2].partition(":")[2]
    floating = "@" not in image and tag in {"", "latest"}
    container.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")
    resources = container.setdefault("resources", {})
    for name, value in dig(resources, "limits", default={}).items():
        resources.setdefault("requests", {}).setdefault(name, value)
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for entry in container.get("env", []):
        if reference := dig(entry, "valueFrom", "fieldRef"):
            reference.setdefault("apiVersion", "v1")
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        if kind in container:
            _complete_probe(container[kind])


def _complete_probe(probe: Object) -> None:
    for key, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(key, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")


def _tolerate_failing_nodes(tolerations: list[Any]) -> None:
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(entry.get("key") in {key, None} for entry in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
            )


def _mount_account(spec: Object) -> None:
    """Add the projected volume with the service account's token to every container."""
    volumes = spec.setdefault("volumes", [])
    if any(volume["name"].startswith("kube-api-access-") for volume in volumes):
        return
    name = "kube-api-access-" + "".join(random.choices(_ALPHABET, k=5))
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": _one_file("kube-root-ca.crt", "ca.crt")},
        {
            "downwardAPI": {
                "items": [
                    {
                        "path": "namespace",
                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                    }
                ]
            }
        },
        {"configMap": _one_file("openshift-service-ca.crt", "service-ca.crt")},
    ]
    volumes.append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})
    for container in (*spec.get("initContainers", []), *spec.get("containers", [])):
        container.setdefault("volumeMounts", []).append(
            {"name": name, "readOnly": True, "mountPath": _ACCESS_MOUNT}
        )


def _one_file(name: str, key: str) -> Object:
    return {"name": name, "items": [{"key": key, "path": key}]}


def qos_class(pod: Object) -> str:
    """Return Guaranteed, Burstable or BestEffort."""
    resources = [container.get("resources", {}) for container in containers(pod)]
    if not any(entry.get("requests") or entry.get("limits") for entry in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(entry.get("limits", {}))
        and all(
            entry.get("requests", {}).get(name) == entry["limits"][name]
            for name in ("cpu", "memory")
        )
        for entry in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"
