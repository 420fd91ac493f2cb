"""What a pod and its events say, read from the API's dictionaries.

Pure; nothing here decides. A pod that has only just been made has hardly any of the fields, so
that each reading has an answer for what is missing.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Object = Mapping[str, Any]

CONTAINER = "workspace"

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def uid(object: Object) -> str:
    """Return an object's uid."""
    return str(object["metadata"]["uid"])


def label(object: Object, key: str) -> str:
    """Return a label of an object, "" if it has none."""
    return str((object["metadata"].get("labels") or {}).get(key, ""))


def annotation(object: Object, key: str) -> str:
    """Return an annotation of an object, "" if it has none."""
    return str((object["metadata"].get("annotations") or {}).get(key, ""))


def is_terminating(object: Object) -> bool:
    """Whether somebody has deleted it; it may live on for its grace period."""
    return bool(object["metadata"].get("deletionTimestamp"))


def created(object: Object) -> datetime:
    """Return when an object was made."""
    return parse_time(object["metadata"].get("creationTimestamp")) or _BEGINNING


def phase(pod: Object) -> str:
    """Return a pod's phase: Pending, Running, Succeeded, Failed or Unknown."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def node(pod: Object) -> str:
    """Return the node that a pod is on, "" if it waits for one."""
    return str((pod.get("spec") or {}).get("nodeName", ""))


def address(pod: Object) -> str:
    """Return a pod's IP address, "" if it has none yet."""
    return str((pod.get("status") or {}).get("podIP", ""))


def condition(pod: Object, type: str) -> Object:
    """Return a condition of a pod, {} if it is not there."""
    conditions: Iterable[Object] = (pod.get("status") or {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == type), {})


def is_true(pod: Object, type: str) -> bool:
    """Whether a condition of a pod holds."""
    return condition(pod, type).get("status") == "True"


def status_of(pod: Object, container: str = CONTAINER) -> Object:
    """Return the status of a container, {} if there is none yet."""
    return next((found for found in statuses(pod) if found["name"] == container), {})


def statuses(pod: Object, kind: str = "containerStatuses") -> list[Object]:
    """Return the statuses of a pod's containers, or of its `initContainerStatuses`."""
    return list((pod.get("status") or {}).get(kind) or ())


def state(status: Object, name: str) -> Object | None:
    """Return what a container's status says of the state `waiting`, `running` or `terminated`."""
    found: Object | None = (status.get("state") or {}).get(name)
    return found


def is_ready(pod: Object) -> bool:
    """Whether a pod answers: ready for the first time, or once more."""
    return is_alive(pod) and bool(address(pod)) and is_true(pod, "Ready")


def is_alive(pod: Object) -> bool:
    """Whether the workspace's process runs, and is not to end.

    A readiness probe that fails for a moment, as on a machine under load, ends nothing.
    """
    if is_terminating(pod) or phase(pod) != "Running":
        return False
    return state(status_of(pod), "running") is not None


def is_over(pod: Object) -> bool:
    """Whether the workspace's process has ended for good."""
    if phase(pod) in {"Succeeded", "Failed"}:
        return True
    never = (pod.get("spec") or {}).get("restartPolicy") == "Never"
    return never and state(status_of(pod), "terminated") is not None


def request(pod: Object, resource: str) -> str:
    """Return how much of a resource a pod asks for, as its manifest has it; "" if nothing."""
    containers: list[Object] = sorted(
        (pod.get("spec") or {}).get("containers") or (),
        key=lambda container: container["name"] != CONTAINER,
    )
    for container in containers:
        resources = container.get("resources") or {}
        for kind in ("requests", "limits"):  # an extended resource may stand in limits alone
            if resource in (resources.get(kind) or {}):
                return str(resources[kind][resource])
    return ""


def image(pod: Object, container: str = CONTAINER) -> str:
    """Return the image of a container as the manifest names it."""
    spec = pod.get("spec") or {}
    for found in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        if found["name"] == container:
            return str(found["image"])
    return ""


def event_time(event: Object) -> datetime:
    """Return when an event happened, for the last time if it is repeated."""
    series = event.get("series") or {}
    for text in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"].get("creationTimestamp"),
    ):
        if (time := parse_time(text)) is not None:
            return time
    return _BEGINNING


def events_of(object: Object, events: Iterable[Object]) -> list[Object]:
    """Return those of the events that are about this object, the last one last."""
    wanted = uid(object)
    mine = [event for event in events if event["involvedObject"].get("uid") == wanted]
    # Some have whole seconds only: within one, the order in which they came counts.
    return sorted(mine, key=lambda event: event_time(event).replace(microsecond=0))


def parse_time(text: str | None) -> datetime | None:
    """Return a timestamp of the API, with or without fractions of a second."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
