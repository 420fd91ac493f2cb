"""Work beside a workspace's home: a Job that has its volume, its log streamed, nothing left of it.

A volume that one node can have at a time leads the Job to the node of the running pod; one that one
pod can have at a time leaves it no place while the workspace runs, and that is said at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kworkspace.cli.client.errors import Conflict, KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.base import Task, TaskResult, Workspace
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.endings import exit_code, last_line
from kworkspace.spawners.kube.errors import ApiError, Expired, NotFoundInCluster
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.making import outcome
from kworkspace.spawners.kube.manifests.job import make_job
from kworkspace.spawners.kube.names import Names
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.progress import Verdict, report
from kworkspace.spawners.kube.refusals import explain, passes, refusal
from kworkspace.spawners.kube.view import View

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

log = logging.getLogger(__name__)

JOB_LABEL = "batch.kubernetes.io/job-name"
ONE_POD = "ReadWriteOncePod"
MARGIN_SECONDS = 60.0  # past a task's own limit, which the cluster keeps
PAUSE_SECONDS = 1.0  # before a stream that broke is opened again
LOOK_SECONDS = 1.0  # without a pod, after which it is asked why; then twice that, and so on
MOST_LOOK_SECONDS = 30.0


class Beside:
    """Runs tasks.

    Args:
        client: to the API server.
        view: what there is.
        tasks: owns what must be done to its end.
    """

    def __init__(self, *, client: KubeClient, view: View, tasks: Tasks) -> None:
        self._client = client
        self._view = view
        self._tasks = tasks

    async def run(
        self,
        options: "KubeSpawnerOptions",
        workspace: Workspace,
        names: Names,
        task: Task,
        tell: Callable[[str], None],
    ) -> TaskResult:
        """Run a task and return how it ended; nothing of it is left then.

        Args:
            options: the configuration.
            workspace: whose home.
            names: of its objects, the claim's as it really is.
            task: what to run.
            tell: called with each line that it prints.

        Raises:
            Conflict: the volume cannot be shared while the workspace runs.
            KworkspaceError: it could not be run, or took too long.
        """
        node = await self._node(workspace, names)
        manifest = make_job(options, workspace, names, task, node=node)
        job = await self._create(manifest, task)
        try:
            async with asyncio.timeout(task.seconds + MARGIN_SECONDS):
                return await self._follow(job, task, tell)
        except TimeoutError:
            raise KworkspaceError(f"The task {task.name} took more than {task.seconds} s") from None
        except ApiError as error:
            raise KworkspaceError(f"The task {task.name} is lost: {explain(error)}") from error
        finally:
            await self._remove(job)

    async def _create(self, manifest: Object, task: Task) -> Object:
        """Make the Job; cancelled meanwhile, what was made is removed."""
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        making = self._tasks.spawn(
            outcome(self._client.create(Kind.JOB, namespace, manifest)), f"make {name}"
        )
        try:
            job, error = await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait([making])
            if not making.cancelled() and (made := making.result()[0]) is not None:
                await self._remove(made)
            raise
        if isinstance(error, ApiError):
            raise KworkspaceError(
                f"The task {task.name} cannot be run: {explain(error)}"
            ) from error
        if error is not None:
            raise error
        assert job is not None
        return job

    async def _node(self, workspace: Workspace, names: Names) -> str | None:
        """Return the node that the Job has to run on, None if any will do."""
        running = [
            pod
            for pod in await self._view.pods_of(workspace.id, names.namespace)
            if not pods.is_over(pod) and pods.node(pod)
        ]
        if not running:
            return None
        for claim in await self._view.claims():
            metadata = claim["metadata"]
            if (metadata["namespace"], metadata["name"]) == (names.namespace, names.claim):
                modes = claim["spec"].get("accessModes") or ()
                if ONE_POD in modes:
                    raise Conflict(
                        f"The volume {names.claim} can be used by one pod at a time"
                        f" ({ONE_POD}): stop the workspace first"
                    )
        return pods.node(running[0])

    async def _follow(self, job: Object, task: Task, tell: Callable[[str], None]) -> TaskResult:
        """Wait for the Job's pod, stream its log, and return how it ended."""
        namespace, stream, said = job["metadata"]["namespace"], None, _Said(tell)
        at = ""
        try:
            async for pod in self._pod(job):
                if stream is None and _has_begun(pod):
                    work = self._log(namespace, pod["metadata"]["name"], said)
                    stream = self._tasks.spawn(work, f"log of {job['metadata']['name']}")
                if pods.is_over(pod) and (code := _exit_code(pod)) is not None:
                    if stream is not None:
                        await stream
                    return TaskResult(code, _result(pod) or (said.last if code else ""))
                if pods.is_terminating(pod):
                    break
                how = report(pod, (), now=datetime.now(UTC))
                if how.verdict is Verdict.FAILED:
                    raise KworkspaceError(f"The task {task.name} did not run: {how.message}")
                at = how.message
            # Its pod is gone: the deadline, a node that was lost, or somebody's hand.
            raise KworkspaceError(
                f"The task {task.name} was ended after at most {task.seconds} s"
                f"{f' ({at})' if at else ''}"
            )
        finally:
            if stream is not None:
                stream.cancel()
                await asyncio.wait([stream])

    async def _pod(self, job: Object) -> AsyncIterator[Object]:
        """Yield the Job's pod whenever it changes, until it is gone or the Job has failed."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        labels = f"{JOB_LABEL}={name}"
        seen, look = False, LOOK_SECONDS
        while True:
            try:
                there = await self._client.list(Kind.POD, namespace, labels=labels)
                for pod in there.items:
                    seen = True
                    yield pod
                if not there.items and (seen or await self._has_failed(job)):
                    return
                watch = self._client.watch(
                    Kind.POD, namespace, labels=labels, resource_version=there.resource_version
                )
                async with contextlib.aclosing(watch) as changes, asyncio.timeout(look) as limit:
                    async for type, pod in changes:
                        if type == "DELETED":
                            return
                        if type in {"ADDED", "MODIFIED"}:
                            seen = True
                            limit.reschedule(None)
                            yield pod
            except TimeoutError:
                look = min(look * 2, MOST_LOOK_SECONDS)
                continue
            except (ApiError, Expired) as error:
                if not passes(error) and not isinstance(error, Expired):
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _has_failed(self, job: Object) -> bool:
        """Whether the Job is gone, or has failed before it made a pod.

        Raises:
            KworkspaceError: the cluster refuses to make one.
        """
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        try:
            found = await self._client.get(Kind.JOB, namespace, name)
        except NotFoundInCluster:
            return True
        fields = f"involvedObject.uid={pods.uid(job)}"
        events = await self._client.list(Kind.EVENT, namespace, fields=fields, limit=20)
        for event in events.items:
            if event.get("reason") == "FailedCreate":
                why = refusal(str(event.get("message", "")).removeprefix("Error creating: "))
                raise KworkspaceError(f"The task cannot be run: {why}")
        conditions = (found.get("status") or {}).get("conditions") or ()
        return any(one["type"] == "Failed" and one["status"] == "True" for one in conditions)

    async def _log(self, namespace: str, name: str, said: "_Said") -> None:
        """Tell each line of the log, from its beginning, each once."""
        while True:
            skip = said.count
            try:
                lines = self._client.log(namespace, name, pods.CONTAINER, follow=True)
                async with contextlib.aclosing(lines):
                    async for line in lines:
                        if skip:
                            skip -= 1
                        else:
                            said.line(line)
            except NotFoundInCluster:
                return
            except ApiError as error:
                if not passes(error):
                    log.warning("The log of %s cannot be read: %s", name, error.message)
                    return
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _remove(self, job: Object) -> None:
        """Delete the Job and its pod, also when this task is being cancelled."""
        removal = self._tasks.spawn(self._delete(job), f"remove {job['metadata']['name']}")
        try:
            await asyncio.shield(removal)
        except asyncio.CancelledError:
            await asyncio.wait([removal])
            raise

    async def _delete(self, job: Object) -> None:
        metadata = job["metadata"]
        try:
            await self._client.delete(
                Kind.JOB,
                metadata["namespace"],
                metadata["name"],
                uid=pods.uid(job),
                propagation="Background",
            )
        except NotFoundInCluster:
            pass
        except ApiError as error:
            # It has a time to live of its own, for this case.
            log.warning("The job %s is not deleted: %s", metadata["name"], error.message)


class _Said:
    """The lines that were told: how many, and the last that says something."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.count = 0
        self.last = ""

    def line(self, text: str) -> None:
        self.count += 1
        self.last = last_line(text) or self.last
        self._tell(text)


def _has_begun(pod: Object) -> bool:
    status = pods.status_of(pod)
    return any(pods.state(status, name) is not None for name in ("running", "terminated"))


def _exit_code(pod: Object) -> int | None:
    """Return the program's exit code; None if it was not the program that ended."""
    code = exit_code(pod)
    if code is None or (pods.is_terminating(pod) and code > 128):
        return None
    terminated = pods.state(pods.status_of(pod), "terminated") or {}
    return None if terminated.get("reason") in {"StartError", "ContainerCannotRun"} else code


def _result(pod: Object) -> str:
    terminated = pods.state(pods.status_of(pod), "terminated") or {}
    return str(terminated.get("message") or "").strip()
