"""What a pod waits for that no node takes, in words; and its place among those that wait.

Pure. The scheduler's message is the only source; its grammar is not part of the API, so that what
is not understood is shown as it is.
"""

import re
from collections.abc import Iterable

from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.endings import one_line
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.quantities import parse_quantity

_INSUFFICIENT = re.compile(r"\d+ Insufficient ([^\s,]*[^\s,.])")
_TAINT = re.compile(r"untolerated taint(?:\(s\)| ?\{([^}]*)\})")
_MISSING_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)')
_REASONS = (
    ("unbound immediate PersistentVolumeClaims", "Waiting for the volume of the home to be made"),
    ("volume node affinity conflict", "Waiting for a node that can reach the volume of the home"),
    ("exceed max volume count", "Waiting for a node that can attach one more volume"),
    ("Too many pods", "Waiting for a node that has room for one more pod"),
    ("available persistent volumes to bind", "Waiting for a volume that fits the home"),
    ("PersistentVolumeClaim in use by another pod", "Waiting for the other pod that uses the home"),
    ("node affinity/selector", "Waiting for a node of the kind that is asked for"),
    ("unschedulable", "Waiting for a node that takes new pods"),
)


def is_unschedulable(pod: Object) -> bool:
    """Whether the scheduler has looked for a node, and found none."""
    scheduled = pods.condition(pod, "PodScheduled")
    return scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"


def waits_for(pod: Object) -> str:
    """Return what an unschedulable pod waits for, as a sentence without its full stop."""
    message = _message(pod)
    if lacking := lacks(pod):
        return f"Waiting for a node with {_and([_amount(pod, name) for name in lacking])}"
    if missing := _MISSING_CLAIM.search(message):
        return f"Waiting for the volume claim {missing[1]}, which {_past(missing[2])}"
    for sign, text in _REASONS:
        if sign in message:
            return text
    if taint := _TAINT.search(message):
        key = (taint[1] or "").partition(":")[0].strip()
        return f"Waiting for a node without the taint {key}" if key else _plainly(message)
    return _plainly(message)


def lacks(pod: Object) -> tuple[str, ...]:
    """Return the resources that nodes have too little of, as `cpu` or `nvidia.com/gpu`."""
    # What follows tells which nodes preemption would help, in the same words.
    first = _message(pod).partition("preemption:")[0]
    return tuple(dict.fromkeys(_INSUFFICIENT.findall(first)))


def place(pod: Object, others: Iterable[Object]) -> tuple[int, int]:
    """Return a waiting pod's place in the queue, from 1, and how many wait.

    Who waits for something else is in another queue; higher priority goes first, then who came
    first, as the scheduler does it.

    Args:
        pod: the one.
        others: pods, itself or such as wait for nothing among them or not.
    """
    wanted = set(lacks(pod))
    queue = {pods.uid(pod): _order(pod)}
    for other in others:
        if is_unschedulable(other) and not pods.is_terminating(other):
            theirs = set(lacks(other))
            if wanted & theirs or not (wanted or theirs):
                queue[pods.uid(other)] = _order(other)
    mine = queue[pods.uid(pod)]
    return 1 + sum(order < mine for order in queue.values()), len(queue)


def _order(pod: Object) -> tuple[int, object, str]:
    priority = int((pod.get("spec") or {}).get("priority") or 0)
    return -priority, pods.created(pod), str(pod["metadata"]["name"])


def _message(pod: Object) -> str:
    return str(pods.condition(pod, "PodScheduled").get("message") or "")


def _amount(pod: Object, resource: str) -> str:
    """Return an amount for people: "1 nvidia.com/gpu", "4 CPU", "16Gi of memory"."""
    asked = pods.request(pod, resource)
    match resource:
        case "cpu":
            return f"{parse_quantity(asked).normalize():f} CPU" if asked else "free CPU"
        case "memory" | "ephemeral-storage":
            name = "memory" if resource == "memory" else "local disk"
            return f"{asked} of {name}" if asked else f"free {name}"
    return f"{asked} {resource}" if asked else f"a free {resource}"


def _plainly(message: str) -> str:
    """Return the scheduler's own words, without what it thinks of preemption."""
    words = one_line(message.partition("preemption:")[0]).rstrip(" ,.")
    return f"Waiting for a node: {words}" if words else "Waiting for a node"


def _past(what: str) -> str:
    return "is being deleted" if "deleted" in what else "does not exist yet"


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
