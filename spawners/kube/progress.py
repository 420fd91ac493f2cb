"""What a starting pod is at, in words, and whether it can still become ready.

Pure: the pod as the watch last showed it, the events about it, and now. The spawner calls it for
every change and shows what it returns; a `Verdict.FAILED` ends the start at once.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from kworkspace.spawners.kube import pods, scheduling
from kworkspace.spawners.kube.endings import ending, one_line
from kworkspace.spawners.kube.pods import Object

# Waiting reasons of a container that no waiting mends, in the kubelet's words.
_HOPELESS = {
    "InvalidImageName": "the name of the image {image} is not valid",
    "ErrImageNeverPull": "the image {image} is not on the node, and is not to be pulled",
    "CreateContainerConfigError": "the container cannot be made",
}
_PULL_FAILURES = {
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
}
_ORDINARY = {"", "ContainerCreating", "PodInitializing"}
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*":? ?(?:ErrImagePull: )?')
_ATTACHED_TO = re.compile(r"(?:attached to|on) (?:the )?(?:node|instance|server)s? \"?([\w.-]*\w)")
_USED_BY = re.compile(r"already used by pod\(s\) (.+)$")
_SHOW_SECONDS = 5
SETTING_UP = 80  # percent: the container runs, and the bootstrap is at work


class Verdict(Enum):
    """What becomes of a start."""

    WAITING = "waiting"
    QUEUED = "queued"  # no node takes it: capacity may come
    TROUBLED = "troubled"  # it fails, and may heal
    READY = "ready"
    FAILED = "failed"  # it cannot heal


@dataclass(frozen=True, slots=True)
class Report:
    """How a start stands.

    Attributes:
        verdict: what becomes of it.
        percent: 0 to 100.
        message: one line for people; of a failure the reason alone, as what follows a colon.
        logs: whether the container's last line of log would say more of the failure.
    """

    verdict: Verdict
    percent: int
    message: str
    logs: bool = False


def report(pod: Object, events: Iterable[Object], *, now: datetime, last_node: str = "") -> Report:
    """Return how a start stands.

    Args:
        pod: as the watch last showed it.
        events: of Kubernetes; those about other objects are passed over.
        now: for how long something takes.
        last_node: where the workspace ran before, if that is known: what its volume may still be
            attached to.
    """
    if (why := ending(pod)) is not None:
        return Report(Verdict.FAILED, 100, why, logs=pods.is_over(pod))
    if pods.is_ready(pod):
        return Report(Verdict.READY, 95, "The workspace answers")
    mine = pods.events_of(pod, events)
    if scheduling.is_unschedulable(pod):
        return Report(Verdict.QUEUED, 20, scheduling.waits_for(pod) + _scaling(mine))
    if not pods.node(pod):
        return Report(Verdict.WAITING, 20, "Waiting for a node")
    for status in (*pods.statuses(pod, "initContainerStatuses"), *pods.statuses(pod)):
        if (trouble := _trouble(pod, status)) is not None:
            return trouble
    if pods.state(pods.status_of(pod), "running") is not None:
        return Report(Verdict.WAITING, SETTING_UP, "Waiting for the SSH server")
    return _preparing(pod, mine, now=now, last_node=last_node)


def _trouble(pod: Object, status: Object) -> Report | None:
    """Return what a container that cannot begin says."""
    waiting = pods.state(status, "waiting")
    reason = "" if waiting is None else str(waiting.get("reason", ""))
    if reason == "CrashLoopBackOff":
        why = _ended((status.get("lastState") or {}).get("terminated") or {})
        text = f"its first process ends again and again{why}"
        return Report(Verdict.FAILED, 100, text, logs=True)
    if (terminated := pods.state(status, "terminated")) is not None and not _is_done(status):
        text = f"The first process ended{_ended(terminated)}; it is started again"
        return Report(Verdict.TROUBLED, 60, text)
    if waiting is None or reason in _ORDINARY:
        return None
    message = one_line(str(waiting.get("message", "")))
    image = pods.image(pod, status["name"])
    if reason in _HOPELESS:
        text = _with(_HOPELESS[reason].format(image=image), message)
        return Report(Verdict.FAILED, 100, text)
    if reason in _PULL_FAILURES:
        why = _BACK_OFF.sub("", message)
        return Report(Verdict.TROUBLED, 50, _with(f"The image {image} cannot be pulled yet", why))
    return Report(Verdict.TROUBLED, 60, _with("The container cannot be started yet", message))


def _preparing(pod: Object, events: Sequence[Object], *, now: datetime, last_node: str) -> Report:
    """Return what the node is at before the container runs, by the last event that tells."""
    for event in reversed(events):
        message = one_line(str(event.get("message", "")))
        match event.get("reason"):
            case "Pulling":
                image = message.partition('"')[2].rstrip('"') or pods.image(pod)
                took = _took(pods.event_time(event), now)
                return Report(Verdict.WAITING, 50, f"Pulling image {image}{took}")
            case "FailedAttachVolume":
                return Report(Verdict.TROUBLED, 40, _attached(message, last_node))
            case "FailedMount":
                text = _with("The volume cannot be mounted yet", message)
                return Report(Verdict.TROUBLED, 40, text)
            case "FailedCreatePodSandBox":
                return Report(Verdict.TROUBLED, 40, _with("The pod cannot be set up yet", message))
            case "Pulled" | "Created" | "Started" if not _initializing(pod):
                return Report(Verdict.WAITING, 70, "Starting the container")
            case "SuccessfulAttachVolume":
                return Report(Verdict.WAITING, 45, "Mounting the volume")
    for number, status in enumerate(pods.statuses(pod, "initContainerStatuses"), 1):
        if pods.state(status, "running") is not None:
            return Report(Verdict.WAITING, 60, f"Running step {number}, {status['name']}")
    return Report(Verdict.WAITING, 40, f"Preparing it on {pods.node(pod)}")


def _is_done(status: Object) -> bool:
    """Whether it is an init container that has done its work."""
    terminated = pods.state(status, "terminated")
    return terminated is not None and not terminated.get("exitCode")


def _ended(terminated: Object) -> str:
    code = terminated.get("exitCode")
    return f" (exit code {code})" if code else ""


def _initializing(pod: Object) -> bool:
    """Whether init containers are at work: the events are theirs."""
    return bool((pod.get("spec") or {}).get("initContainers")) and not pods.is_true(
        pod, "Initialized"
    )


def _attached(message: str, last_node: str) -> str:
    """Return where the volume still is: the controller does not always say."""
    if (used := _USED_BY.search(message)) is not None:
        return f"The volume is still used by {used[1]}"
    if "Multi-Attach" in message or "already attached" in message:
        found = _ATTACHED_TO.search(message)
        there = last_node if found is None or found[1] == "another" else found[1]
        return f"Volume is still attached to {there or 'another node'}"
    return _with("The volume cannot be attached yet", message)


def _scaling(events: Sequence[Object]) -> str:
    """Return what an autoscaler says about it, if there is one."""
    for event in reversed(events):
        match event.get("reason"):
            case "TriggeredScaleUp" | "Nominated":
                return "; one is being added"
            case "NotTriggerScaleUp":
                return "; none can be added"
    return ""


def _took(since: datetime, now: datetime) -> str:
    seconds = int((now - since).total_seconds())
    return f" ({seconds} s)" if seconds >= _SHOW_SECONDS else ""


def _with(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text
