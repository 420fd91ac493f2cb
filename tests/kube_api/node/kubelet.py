"""The node: takes the pods that are bound to it, and answers for them.

Tests tell it how images behave (`images`, `default`), and let things happen to a running pod
(`finish`, `oom`, `fail`).
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from kworkspace.cli.client.tasks import Tasks
from tests.kube_api.api.statuses import bad_request, internal
from tests.kube_api.api.streams import Execution
from tests.kube_api.kinds import PODS
from tests.kube_api.node.container import End, Run, ScriptedRun
from tests.kube_api.node.ending import end
from tests.kube_api.node.images import IMAGES, Image
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.node.worker import Surroundings, Worker
from tests.kube_api.objects import Object, dig, is_finished, now
from tests.kube_api.store import Change, Store

RealRun = Callable[[Worker, Object, Image], Run]


class Kubelet:
    """One kubelet for all nodes.

    Args:
        cheap: seconds to readiness of every image whose script says nothing else; then nothing
            runs for real. None lets images that are real run for real.
        make_real: makes a run of real processes.
        pace: what its own waits (probes, back-offs) are multiplied with.
    """

    def __init__(
        self,
        store: Store,
        *,
        cheap: float | None,
        pace: float,
        make_real: RealRun,
        tasks: Tasks,
    ) -> None:
        self.images: dict[str, Image] = dict(IMAGES)
        self.default = Image(ready_after=cheap or 0.0)
        self.workers: dict[str, Worker] = {}
        self._store = store
        self._cheap = cheap is not None
        self._make_real = make_real
        self._tasks = tasks
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self._addresses = itertools.count(1)
        self._changes: asyncio.Future[None] | None = None
        self.around = Surroundings(
            store=store,
            record=Recorder(store, "kubelet", "node1"),
            image=self.image,
            make_run=self._make_run,
            changed=self._changed,
            host_ip="10.88.0.1",
            pace=pace,
        )
        store.listeners.append(self._see)

    def image(self, name: str) -> Image:
        """How an image behaves now."""
        found = self.images.get(name, self.default)
        if self._cheap and found.real:
            return replace(found, real=False, ready_after=self.default.ready_after)
        return found

    def _make_run(self, worker: Worker, container: Object, image: Image) -> Run:
        if not image.real:
            return ScriptedRun(image)
        return self._make_real(worker, container, image)

    def _changed(self) -> "asyncio.Future[None]":
        if self._changes is None or self._changes.done():
            self._changes = asyncio.get_running_loop().create_future()
        return self._changes

    def _see(self, change: Change) -> None:
        if change.resource.plural in {"secrets", "configmaps"}:
            if self._changes is not None and not self._changes.done():
                self._changes.set_result(None)
            return
        if change.resource is not PODS or not dig(change.new, "spec", "nodeName"):
            return
        asyncio.get_running_loop().call_soon(self._follow, change)

    def _follow(self, change: Change) -> None:
        uid = change.new["metadata"]["uid"]
        worker = self.workers.get(uid)
        if change.deleted:
            if worker is not None and uid not in self._ending:
                self._end(worker)
            elif worker is not None:
                worker.hurry()
            return
        if worker is None:
            if not is_finished(change.new) and uid not in self._jobs:
                self._begin(change.new)
            return
        if "deletionTimestamp" in change.new["metadata"]:
            if uid in self._ending:
                worker.hurry()
            else:
                self._end(worker)

    def _begin(self, pod: Object) -> None:
        if self._store.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"]) is None:
            return
        worker = Worker(pod, self._address(), self.around)
        self.workers[worker.uid] = worker
        self._jobs[worker.uid] = self._tasks.spawn(worker.live(), f"pod {worker.name}")
        if "deletionTimestamp" in pod["metadata"]:
            self._end(worker)

    def _address(self) -> str:
        """A loopback address of the pod's own; another process's pods have others."""
        number = next(self._addresses)
        return f"127.{64 + os.getpid() % 128}.{number // 250 % 250}.{number % 250 + 1}"

    def _end(self, worker: Worker) -> None:
        self._ending.add(worker.uid)
        self._tasks.spawn(self._end_after(worker), f"end of pod {worker.name}")

    async def _end_after(self, worker: Worker) -> None:
        job = self._jobs.pop(worker.uid, None)
        if job is not None and not job.done():
            job.cancel()
            await asyncio.wait([job])
        try:
            await end(worker)
        finally:
            await worker.aclose()
            self.workers.pop(worker.uid, None)
            self._ending.discard(worker.uid)

    async def aclose(self) -> None:
        """End all that runs; the objects stay as they are."""
        self._store.listeners.remove(self._see)
        for job in self._jobs.values():
            job.cancel()
        for worker in list(self.workers.values()):
            await worker.aclose()

    def worker(self, namespace: str, name: str) -> Worker:
        """Return a pod's worker.

        Raises:
            KeyError: the node does not run it.
        """
        for worker in self.workers.values():
            if (worker.namespace, worker.name) == (namespace, name):
                return worker
        raise KeyError(f"{namespace}/{name}")

    def finish(
        self, namespace: str, name: str, code: int = 0, reason: str = "", container: str = ""
    ) -> None:
        """Let a container end by itself: the first, or the one that is named."""
        worker = self.worker(namespace, name)
        run = worker.runs[container or worker.mains[0].name]
        run.end(End(code, reason))

    def oom(self, namespace: str, name: str, container: str = "") -> None:
        """Let a container be killed for its memory."""
        self.finish(namespace, name, 137, "OOMKilled", container)

    async def fail(self, namespace: str, name: str, reason: str, message: str) -> None:
        """Let the kubelet fail a pod: Evicted for want of memory, NodeShutdown and the like."""
        worker = self.worker(namespace, name)
        if (job := self._jobs.pop(worker.uid, None)) is not None:
            job.cancel()
            await asyncio.wait([job])
        for run in worker.runs.values():
            run.kill()
        await worker.note_ends()

        def why(pod: Object) -> None:
            pod["status"] |= {"reason": reason, "message": message}
            conditions = pod["status"].get("conditions", [])
            pod["status"]["conditions"] = [_disrupted(pod, message), *conditions]

        worker.finish("Failed")
        self._store.replace(PODS, namespace, name, why)
        self.around.record(worker.pod, reason, message, warning=True)

    def _running(self, pod: Object, container: str) -> Run | None:
        worker = self.workers.get(pod["metadata"]["uid"])
        return None if worker is None else worker.runs.get(container)

    async def exec(self, pod: Object, container: str, argv: list[str], *, tty: bool) -> Execution:
        """Start a program in a container.

        Raises:
            Refusal: it is not running.
        """
        run = self._running(pod, container)
        if run is None or run.ended.done():
            raise internal(f'unable to upgrade connection: container not found ("{container}")')
        return await run.exec(argv, tty=tty)

    async def log(
        self, pod: Object, container: str, *, previous: bool, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """Yield what a container has written.

        Raises:
            Refusal: 400, it has not begun.
        """
        worker = self.workers.get(pod["metadata"]["uid"])
        runs = {} if worker is None else (worker.before if previous else worker.runs)
        run = runs.get(container)
        name = pod["metadata"]["name"]
        if run is None and previous:
            words = f'previous terminated container "{container}" in pod "{name}" not found'
            raise bad_request(words)
        if run is None:
            reason = _waiting_reason(pod, container)
            raise bad_request(
                f'container "{container}" in pod "{name}" is waiting to start: {reason}'
            )
        async for chunk in run.log.read(follow=follow, tail=tail):
            yield chunk


def _disrupted(pod: Object, message: str) -> Object:
    return {
        "type": "DisruptionTarget",
        "observedGeneration": pod["metadata"]["generation"],
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now(),
        "reason": "TerminationByKubelet",
        "message": message,
    }


def _waiting_reason(pod: Object, container: str) -> str:
    for entry in dig(pod, "status", "containerStatuses", default=[]):
        if entry["name"] == container:
            return str(dig(entry, "state", "waiting", "reason", default="ContainerCreating"))
    return "ContainerCreating"
