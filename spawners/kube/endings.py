"""Why a pod ended: one line for the person whose workspace it was.

Pure: from the pod as the watch last showed it. Called by the spawner when a pod that was not asked
to end is over or being deleted, and for a start whose pod ends before it is ready.
"""

from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.pods import Object

# Of the condition DisruptionTarget: Kubernetes' own reasons to end a pod.
_DISRUPTIONS = {
    "EvictionByEvictionAPI": "its node {node} is being emptied",
    "PreemptionByScheduler": "it made room for something more important",
    "DeletionByTaintManager": "its node {node} was lost",
    "DeletionByPodGC": "its node {node} is gone",
}
_REASONS = {
    "NodeLost": "its node {node} was lost",
    "NodeShutdown": "its node {node} was shut down",
    "Shutdown": "its node {node} was shut down",
    "Terminated": "its node {node} was shut down",
    "DeadlineExceeded": "it ran for as long as it may (activeDeadlineSeconds)",
}
_SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 6: "ABRT", 7: "BUS", 9: "KILL", 11: "SEGV", 15: "TERM"}
DELETED = "its pod was deleted, not by the hub"
MOST_CHARACTERS = 1000


def ending(pod: Object) -> str | None:
    """Return why a pod has ended or is ending, None if it does neither."""
    terminated = pods.state(pods.status_of(pod), "terminated") or {}
    if pods.is_terminating(pod) and terminated.get("reason") != "OOMKilled":
        # Its process may have ended since, but because it was told to.
        return _disruption(pod) or DELETED
    if pods.is_over(pod):
        return _disruption(pod) or _own_end(pod)
    return None


def _disruption(pod: Object) -> str | None:
    """Return what the cluster says of its own doing."""
    status = pod.get("status") or {}
    reason, message = status.get("reason", ""), status.get("message", "")
    if reason == "Evicted":
        return _because(_place("its node {node} evicted it", pod), message)
    if reason in _REASONS:
        return _place(_REASONS[reason], pod)
    target = pods.condition(pod, "DisruptionTarget")
    if target.get("status") == "True" and (pods.is_terminating(pod) or pods.is_over(pod)):
        text = _DISRUPTIONS.get(str(target.get("reason")))
        if text is not None:
            return _place(text, pod)
        return _because("the cluster ended it", target.get("message") or target.get("reason"))
    if reason and pods.phase(pod) == "Failed":  # the node's own reasons, as OutOfcpu
        return _because(_place("its node {node} ended it", pod), f"{reason}: {message}")
    return None


def _own_end(pod: Object) -> str:
    """Return how the workspace's process ended."""
    terminated = pods.state(pods.status_of(pod), "terminated")
    if terminated is None:
        return _before_it_began(pod)
    if terminated.get("reason") == "OOMKilled":
        limit = _limit(pod)
        return f"it ran out of memory{f' (its limit is {limit})' if limit else ''}"
    code, signal = int(terminated.get("exitCode", 0)), int(terminated.get("signal") or 0)
    if terminated.get("reason") in {"StartError", "ContainerCannotRun"}:
        return _because("its container could not be started", terminated.get("message"))
    if code > 128 or signal:
        number = signal or code - 128
        name = f"SIG{_SIGNALS[number]}" if number in _SIGNALS else f"signal {number}"
        return f"its first process was killed ({name})"
    if code:
        said = last_line(str(terminated.get("message") or ""))
        return _because(f"its first process ended with exit code {code}", said)
    return "its first process ended"


def _before_it_began(pod: Object) -> str:
    for status in pods.statuses(pod, "initContainerStatuses"):
        terminated = pods.state(status, "terminated")
        if terminated is not None and terminated.get("exitCode"):
            said = last_line(str(terminated.get("message") or ""))
            text = f"its init container {status['name']} ended with exit code"
            return _because(f"{text} {terminated['exitCode']}", said)
    return "its pod ended before it began"


def exit_code(pod: Object) -> int | None:
    """Return the exit code of the workspace's process, None if it has not ended."""
    terminated = pods.state(pods.status_of(pod), "terminated")
    return None if terminated is None else int(terminated.get("exitCode", 0))


def last_line(text: str) -> str:
    """Return the last line of a text that says something, and no more of it than people read."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MOST_CHARACTERS] if lines else ""


def one_line(text: str) -> str:
    """Return a text of the cluster's as one line."""
    return " ".join(text.split())


def _because(text: str, reason: object) -> str:
    why = one_line(str(reason or "")).rstrip(".")
    return f"{text}: {why}" if why else text


def _place(text: str, pod: Object) -> str:
    name = pods.node(pod)
    return text.format(node=name) if name else text.replace(" {node}", "")


def _limit(pod: Object) -> str:
    for container in (pod.get("spec") or {}).get("containers") or ():
        if container["name"] == pods.CONTAINER:
            limits = (container.get("resources") or {}).get("limits") or {}
            return str(limits.get("memory", ""))
    return ""
