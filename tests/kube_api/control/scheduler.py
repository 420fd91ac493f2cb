"""Binds pods to nodes, or says why none is good enough, in the scheduler's words."""

import asyncio
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from tests.kube_api.api.selectors import matches_expression, matches_selector
from tests.kube_api.control.claims import Claims
from tests.kube_api.kinds import NODES, PODS
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.objects import Object, claim_names, containers, dig, is_finished, now, quantity
from tests.kube_api.store import Change, Store

Requests = dict[str, Decimal]
_NO_PREEMPTION = (
    " no new claims to deallocate, preemption: 0/{n} nodes are available:"
    " {n} Preemption is not helpful for scheduling."
)
_TAKEN = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)
_WAKING = frozenset({"nodes", "persistentvolumeclaims", "storageclasses"})


class Scheduler:
    """The scheduler.

    Attributes:
        paused: while set, no pod is bound or found wanting.
    """

    def __init__(self, store: Store, claims: Claims) -> None:
        self.paused = False
        self._store = store
        self._claims = claims
        self._record = Recorder(store, "default-scheduler")
        self._used: dict[str, Requests] = {}
        self._counted: dict[str, tuple[str, Requests]] = {}
        self._waiting: dict[tuple[str, str], None] = {}
        self._soon = False
        store.listeners.append(self._see)

    def _see(self, change: Change) -> None:
        if change.resource is PODS:
            self._count(change)
            if not change.deleted and _wants_node(change.new):
                self._waiting[change.key] = None
                if change.old is None:
                    self.wake()
            if change.deleted or is_finished(change.new):
                self._waiting.pop(change.key, None)
                if self._waiting:
                    self.wake()
        elif change.resource.plural in _WAKING and self._waiting:
            self.wake()

    def _count(self, change: Change) -> None:
        """Keep account of what the pods on each node have requested."""
        uid = change.new["metadata"]["uid"]
        node = dig(change.new, "spec", "nodeName", default="")
        counts = bool(node) and not change.deleted and not is_finished(change.new)
        if counts == (uid in self._counted):
            return
        if counts:
            wanted = requests(change.new)
            self._counted[uid] = (node, wanted)
            self._add(node, wanted, 1)
        else:
            self._add(*self._counted.pop(uid), -1)

    def _add(self, node: str, wanted: Requests, sign: int) -> None:
        used = self._used.setdefault(node, {})
        for name, amount in wanted.items():
            used[name] = used.get(name, Decimal(0)) + sign * amount

    def wake(self) -> None:
        """Look at the pods that wait, soon."""
        if not self._soon and not self.paused:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._try_all)

    def _try_all(self) -> None:
        self._soon = False
        for key in list(self._waiting):
            pod = self._store.get(PODS, *key)
            if pod is None or not _wants_node(pod):
                self._waiting.pop(key, None)
            else:
                self._try(pod)

    def _try(self, pod: Object) -> None:
        nodes = self._store.values(NODES)
        namespace = pod["metadata"]["namespace"]
        if problem := self._claims.problem(pod):
            return self._unschedulable(pod, f"0/{len(nodes)} nodes are available: {problem}")
        reasons: Counter[str] = Counter()
        wanted = requests(pod)
        for node in nodes:
            found = self._unfit(pod, wanted, node)
            if not found:
                for name in claim_names(pod):
                    self._claims.bind(namespace, name, node["metadata"]["name"])
                return self._bind(pod, node["metadata"]["name"])
            reasons.update(found)
        shown = ", ".join(f"{n} {why}" for why, n in sorted(reasons.items()))
        tail = _NO_PREEMPTION.format(n=len(nodes))
        return self._unschedulable(pod, f"0/{len(nodes)} nodes are available: {shown}.{tail}")

    def _bind(self, pod: Object, node: str) -> None:
        metadata = pod["metadata"]
        self._waiting.pop((metadata["namespace"], metadata["name"]), None)

        def bound(new: Object) -> None:
            new["spec"]["nodeName"] = node
            _set_scheduled(new, {"status": "True"})

        self._store.replace(PODS, metadata["namespace"], metadata["name"], bound)
        words = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {node}"
        self._record(pod, "Scheduled", words)

    def _unschedulable(self, pod: Object, message: str) -> None:
        metadata = pod["metadata"]
        found: Object = {
            "observedGeneration": metadata.get("generation", 1),
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }

        def refused(new: Object) -> None:
            _set_scheduled(new, found)

        before = self._store.get(PODS, metadata["namespace"], metadata["name"])
        after = self._store.replace(PODS, metadata["namespace"], metadata["name"], refused)
        if after is not before:
            self._record(pod, "FailedScheduling", message, warning=True)

    def _unfit(self, pod: Object, wanted: Requests, node: Object) -> list[str]:
        """Why a pod cannot go to a node, [] if it can."""
        spec, labels = pod["spec"], dig(node, "metadata", "labels", default={})
        for taint in dig(node, "spec", "taints", default=[]):
            if taint["effect"] != "PreferNoSchedule" and not _tolerates(spec, taint):
                return ["node(s) had untolerated taint(s)"]
        if dig(node, "spec", "unschedulable"):
            return ["node(s) were unschedulable"]
        selector = spec.get("nodeSelector") or {}
        if any(labels.get(key) != value for key, value in selector.items()):
            return ["node(s) didn't match Pod's node affinity/selector"]
        if not _likes(spec, labels):
            return ["node(s) didn't match Pod's node affinity/selector"]
        if not self._is_near(pod, node):
            return ["node(s) didn't match pod affinity rules"]
        if not self._claims.fits(pod, node["metadata"]["name"]):
            return [_TAKEN]
        return self._lacks(wanted, node)

    def _lacks(self, wanted: Requests, node: Object) -> list[str]:
        has = dig(node, "status", "allocatable", default={})
        used = self._used.get(node["metadata"]["name"], {})
        found = []
        for name, amount in wanted.items():
            left = quantity(has.get(name, "0")) - used.get(name, Decimal(0))
            if amount > left:
                found.append("Too many pods" if name == "pods" else f"Insufficient {name}")
        return found

    def _is_near(self, pod: Object, node: Object) -> bool:
        """Whether required pod affinity holds: a matching pod runs in the node's domain."""
        key = "requiredDuringSchedulingIgnoredDuringExecution"
        for term in dig(pod, "spec", "affinity", "podAffinity", key, default=[]):
            spaces = term.get("namespaces") or [pod["metadata"]["namespace"]]
            domain = term["topologyKey"]
            mine = dig(node, "metadata", "labels", domain)
            others = [
                other
                for space in spaces
                for other in self._store.values(PODS, space)
                if matches_selector(term.get("labelSelector") or {}, other)
                and not is_finished(other)
            ]
            if not any(self._domain(other, domain) == mine for other in others):
                return False
        return True

    def _domain(self, pod: Object, key: str) -> str | None:
        node = self._store.get(NODES, "", dig(pod, "spec", "nodeName", default=""))
        found: str | None = dig(node, "metadata", "labels", key)
        return found


def _wants_node(pod: Object) -> bool:
    return (
        not dig(pod, "spec", "nodeName")
        and not is_finished(pod)
        and not dig(pod, "spec", "schedulingGates")
        and "deletionTimestamp" not in pod["metadata"]
        and dig(pod, "spec", "schedulerName") == "default-scheduler"
    )


def requests(pod: Object) -> Requests:
    """Return what a pod requests of a node, itself as one of its `pods` included."""
    found: Requests = {"pods": Decimal(1)}
    for container in containers(pod):
        for name, value in dig(container, "resources", "requests", default={}).items():
            found[name] = found.get(name, Decimal(0)) + quantity(value)
    for container in containers(pod, init=True):
        for name, value in dig(container, "resources", "requests", default={}).items():
            found[name] = max(found.get(name, Decimal(0)), quantity(value))
    return found


def _set_scheduled(pod: Object, condition: Object) -> None:
    old = dig(pod, "status", "conditions", default=[])
    before: Object = next((one for one in old if one["type"] == "PodScheduled"), {})
    since = (
        before.get("lastTransitionTime") if before.get("status") == condition["status"] else None
    )
    new: Object = {"type": "PodScheduled"} | condition
    new |= {"lastProbeTime": None, "lastTransitionTime": since or now()}
    kept = [one for one in old if one["type"] != "PodScheduled"]
    pod.setdefault("status", {})["conditions"] = [*kept, new]


def _tolerates(spec: Object, taint: Object) -> bool:
    for entry in spec.get("tolerations") or []:
        if entry.get("effect") not in {None, "", taint["effect"]}:
            continue
        if entry.get("operator", "Equal") == "Exists":
            if entry.get("key") in {None, "", taint["key"]}:
                return True
        elif entry.get("key") == taint["key"]:
            return bool(entry.get("value", "") == taint.get("value", ""))
    return False


def _likes(spec: Object, labels: dict[str, str]) -> bool:
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = dig(spec, "affinity", "nodeAffinity", key, "nodeSelectorTerms")
    if terms is None:
        return True
    holds: Callable[[Object], bool] = lambda term: all(  # noqa: E731
        matches_expression(entry, labels) for entry in term.get("matchExpressions") or []
    )
    return any(holds(term) for term in terms)
