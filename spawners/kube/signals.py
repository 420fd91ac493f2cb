"""Whether workspaces are in use: CPU, SSH connections and GPUs of many pods, each with its age.

CPU comes from metrics.k8s.io in one call where that is installed, else from the pod's own cgroup;
all else from one exec in each pod. Nothing is decided here: what cannot be read is said to be
unreadable, and what cannot exist is absent.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kworkspace.spawners.base import ABSENT, Activity, Readable, Reading
from kworkspace.spawners.kube.client import KubeClient, Object
from kworkspace.spawners.kube.errors import ApiError, ExecFailed
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.quantities import QuantityError, parse_quantity
from kworkspace.spawners.kube.samples import CpuTime, Sample, parse, program

AT_ONCE = 32
SECONDS = 15.0
MOST_BYTES = 128 * 1024  # a thousand connections; what a workspace prints is read on the loop
SOON_SECONDS = 1.0
REMEMBERED = 20_000
NVIDIA = "nvidia.com/"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """A pod to look at.

    Attributes:
        id: the server's UUID.
        uid: of the pod.
        namespace: of the pod.
        pod: its name.
        container: the workspace's.
        port: of its SSH server.
        gpu: whether it has a GPU whose load nvidia-smi tells.
    """

    id: str
    uid: str
    namespace: str
    pod: str
    container: str
    port: int
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    cpu: CpuTime
    at: float


class Signals:
    """Looks at pods, and remembers the last look at their counters.

    Args:
        client: the cluster.
        at_once: pods that are looked into at the same time.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        at_once: int = AT_ONCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._clock = clock
        self._looks: dict[str, _Look] = {}
        self._told = ""

    async def activity(
        self, targets: Sequence[Target], gateways: Collection[str] = ()
    ) -> list[Activity]:
        """Return what each pod is at; it raises nothing that the cluster says.

        Args:
            targets: pods that run.
            gateways: IP addresses whose connections are counted elsewhere.
        """
        metrics = await self._metrics({target.namespace for target in targets})
        # A second in each of thousands of pods adds up: then the next call knows.
        patient = len(targets) <= self._at_once
        return await asyncio.gather(
            *(
                self._one(target, metrics.get((target.namespace, target.pod)), gateways, patient)
                for target in targets
            )
        )

    async def _one(
        self,
        target: Target,
        metrics: Object | None,
        gateways: Collection[str],
        patient: bool,
    ) -> Activity:
        measured = None if metrics is None else _measured(metrics, target.container)
        last, now = self._looks.get(target.uid), self._clock()
        known = last is not None and now - last.at >= SOON_SECONDS
        twice = patient and measured is None and not known
        async with self._turn:
            sample, reason = await self._sample(target, twice=twice)
        connections = sample.connections(gateways)
        return Activity(
            id=target.id,
            object_uid=target.uid,
            cpu=measured or self._cpu(target, sample, reason),
            connections=(
                Reading.unreadable(reason or "/proc/net/tcp cannot be read")
                if connections is None
                else Reading(Readable.READ, connections)
            ),
            gpu=_gpu(target, sample, reason),
        )

    async def _sample(self, target: Target, *, twice: bool) -> tuple[Sample, str]:
        """Look into a pod; return what was seen, and why it may not be all."""
        argv = program(port=target.port, gpu=target.gpu, twice=twice)
        try:
            result = await self._client.exec(
                target.namespace,
                target.pod,
                target.container,
                argv,
                timeout=SECONDS,
                most=MOST_BYTES,
            )
        except ExecFailed as error:
            return parse(error.stdout), error.message
        except ApiError as error:
            return Sample(), error.message
        complaint = " ".join(result.stderr.decode(errors="replace").split())[:200]
        return parse(result.stdout), complaint

    def _cpu(self, target: Target, sample: Sample, reason: str) -> Reading:
        if not sample.cpu:
            return Reading.unreadable(reason or "the container's cgroup cannot be read")
        newest = sample.cpu[-1]
        last = self._looks.pop(target.uid, None)
        before = last.cpu if last is not None else None
        if len(sample.cpu) > 1:
            before = sample.cpu[0]
        self._looks[target.uid] = _Look(newest, self._clock())
        if len(self._looks) > REMEMBERED:
            del self._looks[next(iter(self._looks))]
        if before is None:
            return Reading.unreadable("this was the first look; the next one tells")
        cores = newest.cores_since(before)
        if cores is None:
            return Reading.unreadable("the container has begun anew since the last look")
        return Reading(Readable.READ, cores)

    async def _metrics(self, namespaces: Iterable[str]) -> dict[tuple[str, str], Object]:
        """Return PodMetrics by namespace and pod, in one call for each namespace."""
        found: dict[tuple[str, str], Object] = {}
        for namespace in sorted(namespaces):
            try:
                listed = await self._client.list(Kind.POD_METRICS, namespace)
            except ApiError as error:
                if self._told != error.message:  # said once, and again when it is another reason
                    log.info("CPU is read in each pod, as there are no metrics: %s", error)
                self._told = error.message
                continue
            for item in listed.items:
                found[namespace, item["metadata"]["name"]] = item
        return found


def target(pod: Object, *, id: str, container: str, port: int) -> Target:
    """Return what to look at in a pod.

    Args:
        pod: as the API has it.
        id: the server's UUID.
        container: the workspace's.
        port: of its SSH server.
    """
    metadata = pod["metadata"]
    return Target(
        id=id,
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        pod=metadata["name"],
        container=container,
        port=port,
        gpu=any(
            name.startswith(NVIDIA)
            for each in pod["spec"]["containers"]
            if each["name"] == container
            for name in (each.get("resources") or {}).get("limits") or {}
        ),
    )


def _measured(metrics: Object, container: str) -> Reading | None:
    """Return the CPU that PodMetrics tell of a container."""
    for each in metrics.get("containers") or ():
        if each.get("name") != container:
            continue
        try:
            cores = float(parse_quantity(each["usage"]["cpu"]))
            at = datetime.fromisoformat(metrics["timestamp"])
        except (KeyError, ValueError, QuantityError):
            return None
        age = (datetime.now(UTC) - at).total_seconds()
        return Reading(Readable.READ, cores, age=max(age, 0.0))
    return None


def _gpu(target: Target, sample: Sample, reason: str) -> Reading:
    if not target.gpu:
        return ABSENT
    if not sample.gpus:
        return Reading.unreadable(reason or "nvidia-smi says nothing")
    return Reading(Readable.READ, max(sample.gpus))
