"""What is kept of objects that are watched by the thousand: a pod costs a third of its whole.

The decoder leaves out what is not named here, such as the record of who set which field, before
anything is made of it. What it keeps are plain dictionaries, as the API spells them. Calls that are
about one object are answered with all of it.
"""

from typing import Any, TypedDict

from kworkspace.spawners.kube.kinds import Kind


class _Metadata(TypedDict, total=False):
    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: Any
    creationTimestamp: Any
    deletionTimestamp: Any
    deletionGracePeriodSeconds: Any
    labels: Any
    annotations: Any
    finalizers: Any
    ownerReferences: Any


class _Container(TypedDict, total=False):
    name: str
    image: Any
    resources: Any
    ports: Any


class _Volume(TypedDict, total=False):
    name: str
    persistentVolumeClaim: Any


class _PodSpec(TypedDict, total=False):
    nodeName: Any
    priority: Any
    restartPolicy: Any
    schedulerName: Any
    serviceAccountName: Any
    terminationGracePeriodSeconds: Any
    tolerations: Any
    containers: list[_Container] | None
    initContainers: list[_Container] | None
    volumes: list[_Volume] | None


class _ContainerStatus(TypedDict, total=False):
    name: str
    state: Any
    lastState: Any
    ready: Any
    started: Any
    restartCount: Any


class _PodStatus(TypedDict, total=False):
    phase: Any
    reason: Any
    message: Any
    podIP: Any
    podIPs: Any
    hostIP: Any
    startTime: Any
    nominatedNodeName: Any
    conditions: Any
    containerStatuses: list[_ContainerStatus] | None
    initContainerStatuses: list[_ContainerStatus] | None


class _Pod(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: _Metadata
    spec: _PodSpec | None
    status: _PodStatus | None


class _Event(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: _Metadata
    involvedObject: Any
    reason: Any
    message: Any
    type: Any
    count: Any
    action: Any
    series: Any
    eventTime: Any
    firstTimestamp: Any
    lastTimestamp: Any
    reportingComponent: Any


class _Other(TypedDict, total=False):
    apiVersion: str
    kind: str
    metadata: _Metadata
    spec: Any
    status: Any


def shape(kind: Kind) -> Any:
    """Return what is kept of a kind's objects, as a type to decode."""
    return {Kind.POD: _Pod, Kind.EVENT: _Event}.get(kind, _Other)
