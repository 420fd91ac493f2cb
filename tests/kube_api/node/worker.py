"""The life of one pod on the node: from its binding to its end.

One task per pod. Whatever it learns it writes into the pod's status, in the steps of the
recordings. A deletion cancels the task and starts another, which ends the pod (`ending.py`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.kube_api.kinds import PODS
from tests.kube_api.node.container import CannotStart, End, Run, ScriptedRun
from tests.kube_api.node.hooks import run_hook
from tests.kube_api.node.images import Image
from tests.kube_api.node.probes import probe_of
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.node.setup import config_problem, missing_volume, pull_words
from tests.kube_api.node.state import NEVER_RAN, ContainerState, compose, state_of, terminated
from tests.kube_api.objects import Object, containers, dig, new_uid, now
from tests.kube_api.store import Store

_BACK_OFF_SECONDS = 10.0
_MAX_BACK_OFF_SECONDS = 300.0


@dataclass(frozen=True)
class Surroundings:
    """What a worker uses of the kubelet.

    Attributes:
        image: looks up how an image behaves now.
        make_run: makes a run of a container.
        pace: what the kubelet's own waits (back-offs, probes) are multiplied with.
        changed: awaits the next change of Secrets and ConfigMaps.
    """

    store: Store
    record: Recorder
    image: Callable[[str], Image]
    make_run: Callable[["Worker", Object, Image], Run]
    changed: Callable[[], "asyncio.Future[None]"]
    host_ip: str
    pace: float


class Worker:
    """One pod on the node.

    Attributes:
        pod: as it was when it came to the node.
        ip: its address.
        states, runs: of its containers, by name.
    """

    def __init__(self, pod: Object, ip: str, around: Surroundings) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.namespace: str = pod["metadata"]["namespace"]
        self.name: str = pod["metadata"]["name"]
        self.ip = ip
        self.around = around
        has_init = bool(containers(pod, init=True))
        self.inits = [
            state_of(container, is_init=has_init) for container in containers(pod, init=True)
        ]
        self.mains = [state_of(container, is_init=has_init) for container in containers(pod)]
        self.runs: dict[str, Run] = {}
        self.before: dict[str, Run] = {}
        self._policy: str = pod["spec"]["restartPolicy"]
        self._phase = "Pending"
        self._sandbox = False
        self._has_ip = False
        self.hurried = asyncio.Event()

    @property
    def current(self) -> Object | None:
        """The pod as it is stored now; None when it is gone."""
        found = self.around.store.get(PODS, self.namespace, self.name)
        return found if found is not None and found["metadata"]["uid"] == self.uid else None

    def write(self) -> None:
        """Write what is known into the pod's status."""
        if self.current is not None:
            self.around.store.replace(PODS, self.namespace, self.name, self._compose)

    def _compose(self, pod: Object) -> None:
        ended = all(state.terminated for state in self.mains)
        final = ended and (
            self._phase in {"Succeeded", "Failed"} or self._restarts_none() or self._is_ending(pod)
        )
        pod["status"] = compose(
            pod,
            self.mains,
            self.inits,
            phase=self._phase,
            sandbox=self._sandbox,
            final=final,
            ip=self.ip if self._has_ip else "",
            host_ip=self.around.host_ip,
        )

    @staticmethod
    def _is_ending(pod: Object) -> bool:
        return "deletionTimestamp" in pod["metadata"]

    def _restarts_none(self) -> bool:
        return not any(self._restarts(state) for state in self.mains)

    def _restarts(self, state: ContainerState) -> bool:
        code = dig(state.state, "terminated", "exitCode", default=0)
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    async def live(self) -> None:
        """Bring the pod up and keep it up, until all its containers have ended."""
        self.write()
        await self._volumes()
        self._sandbox = True
        self.write()
        for container, state in zip(containers(self.pod, init=True), self.inits, strict=True):
            if not await self._initialise(container, state):
                self._finish("Failed")
                return
        for state in self.mains:
            state.state = {"waiting": {"reason": "ContainerCreating"}}
        async with asyncio.TaskGroup() as group:
            for container, state in zip(containers(self.pod), self.mains, strict=True):
                group.create_task(self._keep(container, state))
        codes = [dig(state.state, "terminated", "exitCode", default=1) for state in self.mains]
        self._finish("Failed" if any(codes) else "Succeeded")

    def _finish(self, phase: str) -> None:
        self._phase, self._sandbox = phase, False
        self.write()

    async def _volumes(self) -> None:
        """Wait until all that the pod mounts is there."""
        while (problem := missing_volume(self.pod, self.around.store)) is not None:
            changed = self.around.changed()
            self.around.record(self.pod, "FailedMount", problem, warning=True)
            await changed

    async def _initialise(self, container: Object, state: ContainerState) -> bool:
        """Run an init container to its end; whether the pod may go on."""
        seconds = _BACK_OFF_SECONDS
        while True:
            run = await self._start(container, state)
            self.write()
            end = await run.ended
            await self._note_end(state, run, end)
            self.write()
            if end.code == 0:
                return True
            if self._policy == "Never":
                return False
            seconds = await self._back_off(container, state, seconds)

    async def _keep(self, container: Object, state: ContainerState) -> None:
        """Run a container, again and again if the pod says so."""
        seconds, first = _BACK_OFF_SECONDS, True
        while True:
            run = await self._start(container, state)
            self._phase = "Running"
            image = self.around.image(container["image"])
            at_once = image.real or image.ready_after == 0.0
            state.ready = at_once and probe_of(container) is None
            self.write()
            await self._until_end(container, state, run)
            await self._note_end(state, run, run.ended.result())
            self.write()
            if not self._restarts(state):
                return
            if first:
                first = False
            else:
                seconds = await self._back_off(container, state, seconds)

    async def _until_end(self, container: Object, state: ContainerState, run: Run) -> None:
        """Probe until the run ends."""
        if state.ready:
            await asyncio.wait([run.ended])
            return
        probe = probe_of(container) or {}
        period, delay = probe.get("periodSeconds", 1), probe.get("initialDelaySeconds", 0)
        word = "Startup" if "startupProbe" in container else "Readiness"
        is_scripted = isinstance(run, ScriptedRun)
        seconds = run.seconds_to_ready if isinstance(run, ScriptedRun) else 0.0
        if seconds is None:
            await asyncio.wait([run.ended])
            return
        if await self._ended_within(run, max(delay * self.around.pace, seconds)):
            return
        misses, limit = 0, probe.get("failureThreshold", 3)
        while True:
            found = await run.probe()
            if run.ended.done():
                return
            misses = misses + 1 if found else 0
            if found:
                path = f"spec.containers{{{state.name}}}"
                words = f"{word} probe failed: {found}"
                self.around.record(self.pod, "Unhealthy", words, warning=True, path=path)
            ready = not found or (state.ready and misses < limit)
            if ready != state.ready:
                state.ready = ready
                self.write()
            if ready and (is_scripted or word == "Startup"):  # it is not asked again
                await asyncio.wait([run.ended])
                return
            # Whoever waits for readiness waits for less than a real kubelet would take.
            if await self._ended_within(run, period * (1.0 if ready else self.around.pace)):
                return

    @staticmethod
    async def _ended_within(run: Run, seconds: float) -> bool:
        await asyncio.wait([run.ended], timeout=seconds)
        return run.ended.done()

    async def _start(self, container: Object, state: ContainerState) -> Run:
        """Pull and start, as soon as all is there that it takes."""
        path = f"spec.containers{{{state.name}}}"
        if state.terminated:
            state.last = state.state
        if state.id:
            state.restarts += 1
        while True:
            image = await self._pull(container, state, path)
            problem = config_problem(self.pod, container, image, self.around.store)
            if not problem:
                return await self._create(container, state, image, path)
            changed = self.around.changed()
            self._wait_with(state, "CreateContainerConfigError", problem)
            words = f"Error: {problem}"
            self.around.record(self.pod, "Failed", words, warning=True, path=path)
            await changed

    async def _create(
        self, container: Object, state: ContainerState, image: Image, path: str
    ) -> Run:
        self._has_ip = True
        run = self.around.make_run(self, container, image)
        if (old := self.runs.get(state.name)) is not None:
            self.before[state.name] = old
        self.runs[state.name] = run
        state.id = f"containerd://{new_uid().replace('-', '') * 2}"
        self.around.record(self.pod, "Created", "Container created", path=path)
        try:
            await run.start()
        except CannotStart as problem:
            words = f"Error: {problem}"
            self.around.record(self.pod, "Failed", words, warning=True, path=path)
            state.state = {"running": {"startedAt": now()}}
            run.end(End(128, "StartError", str(problem)))
            return run
        state.state = {"running": {"startedAt": now()}}
        self.around.record(self.pod, "Started", "Container started", path=path)
        if not await run_hook(self.pod, container, run, "postStart", self.around.record):
            run.kill()
        return run

    async def _pull(self, container: Object, state: ContainerState, path: str) -> Image:
        """Return the image when it is on the node."""
        name, record = container["image"], self.around.record
        seconds = _BACK_OFF_SECONDS
        if problem := pull_words(container):
            self._wait_with(state, *problem)
            record(self.pod, "InspectFailed", problem[1], warning=True, path=path)
            record(self.pod, "Failed", f"Error: {problem[0]}", warning=True, path=path)
            await asyncio.get_running_loop().create_future()  # for ever
        while True:
            image = self.around.image(name)
            if not (image.pull_error or image.pull_seconds or image.gate):
                words = f'Container image "{name}" already present on machine'
                words += " and can be accessed by the pod"
                record(self.pod, "Pulled", words, path=path)
                return image
            record(self.pod, "Pulling", f'Pulling image "{name}"', path=path)
            if image.gate is not None:
                await image.gate.wait()
            await asyncio.sleep(image.pull_seconds)
            image = self.around.image(name)
            if not image.pull_error:
                took = f"{image.pull_seconds:g}s"
                words = f'Successfully pulled image "{name}" in {took} ({took} including waiting).'
                record(self.pod, "Pulled", f"{words} Image size: 117000000 bytes.", path=path)
                return image
            await self._pull_failed(state, name, image.pull_error, path, seconds)
            seconds = min(seconds * 2, _MAX_BACK_OFF_SECONDS)

    async def _pull_failed(
        self, state: ContainerState, name: str, error: str, path: str, seconds: float
    ) -> None:
        record, pace = self.around.record, self.around.pace
        words = f'Failed to pull image "{name}": {error}'
        record(self.pod, "Failed", words, warning=True, path=path)
        record(self.pod, "Failed", "Error: ErrImagePull", warning=True, path=path)
        self._has_ip = True
        self._wait_with(state, "ErrImagePull", error)
        await asyncio.sleep(pace)
        record(self.pod, "BackOff", f'Back-off pulling image "{name}"', path=path)
        record(self.pod, "Failed", "Error: ImagePullBackOff", warning=True, path=path)
        words = f'Back-off pulling image "{name}": ErrImagePull: {error}'
        self._wait_with(state, "ImagePullBackOff", words)
        await asyncio.sleep(seconds * pace)

    def _wait_with(self, state: ContainerState, reason: str, message: str) -> None:
        state.state = {"waiting": {"reason": reason, "message": message}}
        state.ready = False
        self.write()

    async def _back_off(self, container: Object, state: ContainerState, seconds: float) -> float:
        who = f"{self.name}_{self.namespace}({self.uid})"
        words = f"restarting failed container={state.name} pod={who}"
        path = f"spec.containers{{{state.name}}}"
        event = f"Back-off {words.replace('pod=', 'in pod ')}"
        self.around.record(self.pod, "BackOff", event, warning=True, path=path)
        state.last = state.state
        self._wait_with(state, "CrashLoopBackOff", f"back-off {seconds:.0f}s {words}")
        await asyncio.sleep(seconds * self.around.pace)
        return min(seconds * 2, _MAX_BACK_OFF_SECONDS)

    async def _note_end(self, state: ContainerState, run: Run, end: End) -> None:
        state.state = terminated(state, end.code, end.reason, end.message)
        state.ready = False
        await run.aclose()

    def hurry(self) -> None:
        """The grace period was made shorter, or the pod is gone already."""
        self.hurried.set()

    async def note_ends(self) -> None:
        """Write down how each container ended, now that all have been killed."""
        for state in self.mains:
            run = self.runs.get(state.name)
            if state.terminated:
                continue
            if run is None:
                state.state = {"terminated": dict(NEVER_RAN)}
            else:
                await run.aclose()
                await self._note_end(state, run, await run.ended)

    def finish(self, phase: str = "") -> None:
        """Write the last status of a pod that was ended: Succeeded or Failed, by its containers."""
        codes = [dig(state.state, "terminated", "exitCode", default=137) for state in self.mains]
        self._finish(phase or ("Failed" if any(codes) else "Succeeded"))

    async def aclose(self) -> None:
        """Let go of all that runs."""
        for run in self.runs.values():
            await run.aclose()
