"""The status of a pod from the states of its containers. Pure: dicts and dataclasses only."""

from dataclasses import dataclass, field

from tests.kube_api.objects import Object, containers, dig, now

IMAGE_ID = "sha256:2428ba11f84e721fcb3b21dc28634e13795cbeaf38a8c6bad7c47edc5dedbb80"


NEVER_RAN = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}


@dataclass
class ContainerState:
    """What the kubelet knows of one container.

    Attributes:
        state: {"waiting": ...}, {"running": ...} or {"terminated": ...}.
        last: the end of the run before, {} if there was none.
    """

    name: str
    image: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    ready: bool = False
    restarts: int = 0
    id: str = ""
    mounts: list[Object] = field(default_factory=list)
    resources: Object = field(default_factory=dict)

    @property
    def terminated(self) -> Object | None:
        """How it ended, if it does not run."""
        return self.state.get("terminated")

    def status(self) -> Object:
        """Return its entry in status.containerStatuses."""
        begun = bool(self.id)
        image = self.image
        if begun and "/" not in image:
            image = f"docker.io/library/{image}"
        found: Object = {
            "name": self.name,
            "state": self.state,
            "lastState": self.last,
            "ready": self.ready,
            "restartCount": self.restarts,
            "image": image,
            "imageID": IMAGE_ID if begun else "",
        }
        if begun:
            found["containerID"] = self.id
        found["started"] = "running" in self.state
        if begun:
            if requests := self.resources.get("requests"):
                found["allocatedResources"] = requests
            found["resources"] = self.resources
        if self.mounts:
            found["volumeMounts"] = self.mounts
        return found


def state_of(container: Object, *, is_init: bool) -> ContainerState:
    """Return the state with which a container begins."""
    reason = "PodInitializing" if is_init else "ContainerCreating"
    mounts = [_mount_status(mount) for mount in container.get("volumeMounts", [])]
    return ContainerState(
        container["name"],
        container["image"],
        state={"waiting": {"reason": reason}},
        mounts=mounts,
        resources=container.get("resources") or {},
    )


def _mount_status(mount: Object) -> Object:
    found = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        found |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return found


def terminated(
    state: ContainerState, code: int, reason: str = "", message: str = "", *, at: str = ""
) -> Object:
    """Return the state of a container that has ended."""
    started = dig(state.state, "running", "startedAt", default=now())
    found: Object = {
        "exitCode": code,
        "reason": reason or ("Completed" if code == 0 else "Error"),
        "startedAt": started,
        "finishedAt": at or now(),
        "containerID": state.id,
    }
    if message:
        found["message"] = message
    return {"terminated": found}


def compose(
    pod: Object,
    mains: list[ContainerState],
    inits: list[ContainerState],
    *,
    phase: str,
    sandbox: bool,
    final: bool,
    ip: str,
    host_ip: str,
) -> Object:
    """Return a pod's whole status.

    Args:
        pod: as it is stored; conditions that did not change keep their time.
        sandbox: whether the pod has its network and volumes.
        final: whether all containers have ended and none will be started again.
        ip: the pod's address, "" while it has none.
    """
    old = pod.get("status", {})
    generation = pod["metadata"].get("generation", 1)
    found: Object = {"observedGeneration": generation, "phase": phase}
    found["conditions"] = _conditions(pod, mains, inits, phase=phase, sandbox=sandbox, final=final)
    found |= {"hostIP": host_ip, "hostIPs": [{"ip": host_ip}]}
    if phase == "Failed":  # why the kubelet or a controller failed it
        found |= {key: old[key] for key in ("reason", "message") if key in old}
    if ip:
        found |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    found["startTime"] = old.get("startTime") or now()
    if inits:
        found["initContainerStatuses"] = [state.status() for state in inits]
    found["containerStatuses"] = [state.status() for state in mains]
    found["qosClass"] = old.get("qosClass", "BestEffort")
    found |= _resources(pod)
    return found


def _resources(pod: Object) -> Object:
    requests = [container.get("resources", {}).get("requests") for container in containers(pod)]
    limits = [container.get("resources", {}).get("limits") for container in containers(pod)]
    if not any(requests):
        return {"resources": {}}
    first = next(entry for entry in requests if entry)
    resources: Object = {"requests": first}
    if any(limits):
        resources["limits"] = next(entry for entry in limits if entry)
    return {"allocatedResources": first, "resources": resources}


def _conditions(
    pod: Object,
    mains: list[ContainerState],
    inits: list[ContainerState],
    *,
    phase: str,
    sandbox: bool,
    final: bool,
) -> list[Object]:
    old = {entry["type"]: entry for entry in dig(pod, "status", "conditions", default=[])}
    generation = pod["metadata"].get("generation", 1)
    unready = [state.name for state in mains if not state.ready]
    why: Object = {}
    if unready:
        why = _unready(mains, unready, final=final)
    uninitialised = [
        state.name for state in inits if dig(state.state, "terminated", "exitCode") != 0
    ]
    initialised: Object = {}
    if phase == "Succeeded":
        initialised = {"reason": "PodCompleted"}
    elif uninitialised:
        initialised = {
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{' '.join(uninitialised)}]",
        }
    found = []
    for type, holds, more in (
        ("DisruptionTarget", None, None),
        ("PodReadyToStartContainers", sandbox, {}),
        ("Initialized", not uninitialised or phase == "Succeeded", initialised),
        ("Ready", not unready, why),
        ("ContainersReady", not unready, why),
        ("PodScheduled", True, {}),
    ):
        if holds is None or more is None:
            if type in old:
                found.append(old[type] | {"observedGeneration": generation})
            continue
        found.append(_condition(type, holds, more, old.get(type), generation))
    return found


def _condition(type: str, holds: bool, more: Object, old: Object | None, generation: int) -> Object:
    status = "True" if holds else "False"
    since = old["lastTransitionTime"] if old and old["status"] == status else now()
    return {
        "type": type,
        "observedGeneration": generation,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": since,
    } | more


def _unready(mains: list[ContainerState], unready: list[str], *, final: bool) -> Object:
    if final:
        failed = any(dig(state.state, "terminated", "exitCode") for state in mains)
        return {"reason": "PodFailed" if failed else "PodCompleted"}
    return {
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }
