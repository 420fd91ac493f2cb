"""`KubeSpawner`: the spawner's interface for workspaces that are pods.

It holds what is under way: at most one start for each server, shared by all who wait for it. What
there is, is in the cluster alone; another process with the same hub id goes on with it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from traitlets import TraitError

from kworkspace.cli.client.errors import KworkspaceError, NotFound, StartFailed
from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.base import (
    STOP_MARGIN_SECONDS,
    Activity,
    Check,
    Home,
    Listener,
    Profile,
    ProgressSink,
    Running,
    Task,
    TaskResult,
    Watch,
    Workspace,
)
from kworkspace.spawners.kube import access, pods, profiles
from kworkspace.spawners.kube import listening as ports
from kworkspace.spawners.kube.backoff import Backoff
from kworkspace.spawners.kube.beside import Beside
from kworkspace.spawners.kube.claims import Claims
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.config import KubeSpawnerOptions
from kworkspace.spawners.kube.endings import one_line
from kworkspace.spawners.kube.errors import ApiError, ExecFailed
from kworkspace.spawners.kube.execs import MOST_BYTES, Result
from kworkspace.spawners.kube.exits import Exits
from kworkspace.spawners.kube.found import (
    HUB_LABEL,
    MANAGED_LABEL,
    OWNER,
    running_of,
    server_of,
    target_of,
    workspace_of,
)
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.making import Parts, outcome
from kworkspace.spawners.kube.names import Names, names
from kworkspace.spawners.kube.objects import Objects
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.refusals import explain
from kworkspace.spawners.kube.removal import Removal
from kworkspace.spawners.kube.signals import Signals
from kworkspace.spawners.kube.starts import Start
from kworkspace.spawners.kube.view import View

log = logging.getLogger(__name__)


class KubeSpawner(KubeSpawnerOptions):
    """Runs workspaces as pods of a Kubernetes cluster."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._tasks = Tasks()
        self._backoff = Backoff()
        self._starts: dict[str, tuple[Start, asyncio.Task[Running | KworkspaceError]]] = {}
        self._named: dict[str, Names] = {}
        self._exits = Exits(self.on_exit, self._is_asked)
        self._parts: Parts | None = None
        self._beside: Beside | None = None
        self._signals: Signals | None = None

    @property
    def selector(self) -> str:
        """What selects the objects of this hub."""
        return f"{MANAGED_LABEL}={OWNER},{HUB_LABEL}={self.hub_id}"

    def start_limit(self) -> None:
        """It keeps `start_timeout` itself: the time in the queue for capacity does not count."""

    def stop_limit(self) -> float:
        """The grace period, then the time until it is ended by force."""
        return self.delete_grace_period + self.stop_timeout + STOP_MARGIN_SECONDS

    async def open(self) -> None:
        """Reach the cluster and begin to watch.

        Raises:
            KworkspaceError: one line says what is wrong, and what to do.
        """
        client = await KubeClient.open(self)
        view = View(
            client=client,
            namespace=None if self.enable_user_namespaces else self.namespace,
            selector=self.selector,
            on_pod=self._pod_changed,
        )
        removal = Removal(client=client, view=view, force_after=self.stop_timeout)
        self._parts = Parts(
            spawner=self,
            client=client,
            view=view,
            objects=Objects(client=client, hub_id=self.hub_id),
            claims=Claims(client=client, view=view, hub_id=self.hub_id),
            removal=removal,
            tasks=self._tasks,
        )
        self._beside = Beside(client=client, view=view, tasks=self._tasks)
        self._signals = Signals(client)
        try:
            await view.open()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop watching. Starts under way are taken up by the next process."""
        self._exits.close()
        await self._tasks.aclose()
        if self._parts is not None:
            await self._parts.view.aclose()
            await self._parts.client.aclose()
            self._parts = None

    @property
    def parts(self) -> Parts:
        """What it works with, once it is open."""
        assert self._parts is not None, "the spawner is not open"
        return self._parts

    # -- what can be asked for -------------------------------------------------------------------

    def profiles(self) -> Sequence[Profile]:
        """Return what a user may ask for by name."""
        return profiles.offered(self)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse what no profile offers."""
        profiles.check_profile(self, options)

    # -- starting --------------------------------------------------------------------------------

    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        """Start the workspace's pod; a second start of it waits for the same one."""
        if workspace.id not in self._starts:
            self._begin(workspace)
        start, task = self._starts[workspace.id]
        with start.listening(progress):
            # Who waits may be cancelled; the start is under way all the same, until `stop`.
            await asyncio.wait([task])
        if task.cancelled():
            raise StartFailed("it was stopped while it started")
        outcome = task.result()
        if isinstance(outcome, KworkspaceError):
            raise outcome
        return outcome

    def _begin(self, workspace: Workspace) -> None:
        made = self._named[workspace.id] = names(self, workspace)
        self._exits.starting(workspace.id)
        start = Start(self.parts, workspace, made, partial(self._choose, workspace))
        task = self._tasks.spawn(self._start(start, workspace), f"start {workspace.slug}")
        self._starts[workspace.id] = start, task
        task.add_done_callback(partial(self._forget_start, workspace.id))

    async def _choose(self, workspace: Workspace) -> KubeSpawnerOptions:
        """Return what a workspace is started with, if it may be tried now."""
        options = await self._options_of(workspace)
        self._backoff.check(workspace.user, options.image)
        return options

    async def _options_of(self, workspace: Workspace) -> KubeSpawnerOptions:
        """Return the configuration with the workspace's profile, callables answered."""
        return await profiles.resolve(profiles.apply_profile(self, workspace), workspace)

    async def _start(self, start: Start, workspace: Workspace) -> Running | KworkspaceError:
        try:
            running = await start.run()
        except KworkspaceError as error:
            if start.image:
                self._backoff.failed(workspace.user, start.image, error.message)
            return error
        self._backoff.succeeded(workspace.user, start.image)
        return running

    def _forget_start(self, id: str, task: asyncio.Task[Running | KworkspaceError]) -> None:
        known = self._starts.get(id)
        if known is not None and known[1] is not task:
            return  # another one is under way
        self._starts.pop(id, None)
        outcome = None if task.cancelled() else task.result()
        self._exits.started(id, outcome.object_uid if isinstance(outcome, Running) else "")

    async def _give_up(self, id: str) -> None:
        """End the start under way; what it has made is there then, and known."""
        if (known := self._starts.pop(id, None)) is not None:
            _, task = known
            task.cancel()
            await asyncio.wait([task])

    # -- stopping and deleting -------------------------------------------------------------------

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        """End the workspace's pod: with its grace period, then by force.

        Raises:
            KworkspaceError: the API server does not let us, or the pod does not go.
        """
        if object_uid is None:
            await self._give_up(id)
        found = await self.parts.view.pods_of(id)
        if not found and object_uid is None:
            # What was made a moment ago may not have been watched yet.
            found = await self.parts.view.surely_pods_of(id)
        ended = [pod for pod in found if object_uid in {None, pods.uid(pod)}]
        own = [pod for pod in ended if self._is_in_place(id, pod)]
        for pod in ended:
            if pod not in own:  # nobody waits for what another user has made, and may hold
                end = outcome(self.parts.removal.end(pod))
                self._tasks.spawn(end, f"end {pod['metadata']['name']}")
        await asyncio.gather(*(self.parts.removal.end(pod) for pod in own))

    def _is_in_place(self, id: str, pod: Object) -> bool:
        known = self._named.get(id)
        return known is None or pod["metadata"]["namespace"] == known.namespace

    async def delete(self, id: str, slug: str, *, user: str = "", name: str = "") -> None:
        """End the workspace, and delete its Secret, its Service and, with `delete_pvc`, its home.

        Raises:
            KworkspaceError: the API server does not let us, or something does not go.
        """
        workspace = await self._describe(id, slug, user, name)
        await self.stop(id, slug)
        made = self._named.pop(id, None) or names(self, workspace)
        if self.delete_pvc:
            await self.parts.claims.delete(self, workspace, made)
        await self._delete_objects(made, id)

    async def remove_orphan(self, orphan: Running) -> None:
        """End a pod that no user owns, and delete its Secret and its Service.

        Raises:
            KworkspaceError: the API server does not let us, or something does not go.
        """
        workspace = await self._describe(orphan.id, orphan.slug, "", "")
        await self.stop(orphan.id, orphan.slug, orphan.object_uid)
        await self._delete_objects(names(self, workspace), orphan.id)

    async def _delete_objects(self, made: Names, id: str) -> None:
        objects = self.parts.objects
        await objects.delete(Kind.SECRET, made.namespace, made.secret, id)
        await objects.delete(Kind.SERVICE, made.namespace, made.service, id)

    async def _describe(self, id: str, slug: str, user: str, name: str) -> Workspace:
        """Return whose a workspace is, as the hub says, or as what there is of it says."""
        if user:
            return Workspace(id=id, user=user, name=name, slug=slug)
        view = self.parts.view
        for found in (*await view.pods_of(id), *await view.claims_of(id)):
            return workspace_of(found)
        return Workspace(id=id, user=slug, name="", slug=slug)

    # -- what there is ---------------------------------------------------------------------------

    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        """Return the workspace if its pod lives, in the namespace where it has to be."""
        namespace = ""
        if user:
            made = names(self, Workspace(id=id, user=user, name=name, slug=slug))
            namespace = self._named.setdefault(id, made).namespace
        for pod in await self.parts.view.pods_of(id, namespace):
            if pods.is_alive(pod) and pods.address(pod):
                return running_of(self, pod)
        return None

    async def running(self) -> Sequence[Running]:
        """Return all pods of this hub, also those that are ending or have ended."""
        return [running_of(self, pod) for pod in await self.parts.view.pods() if server_of(pod)]

    async def kept_homes(self) -> Sequence[Home]:
        """Return the claims of this hub that belong to one workspace."""
        claims = await self.parts.view.claims()
        return [
            Home(server_of(claim), f"Volume claim {claim['metadata']['name']}")
            for claim in claims
            if server_of(claim)
        ]

    def watches(self) -> Sequence[Watch]:
        """Return how the watches do."""
        return self.parts.view.watches()

    async def refresh(self, workspace: Workspace) -> None:
        """Bring the Secret up to date, and have the node look at it at once.

        Raises:
            KworkspaceError: the API server does not let us.
        """
        made = names(self, workspace)
        for pod in await self.parts.view.pods_of(workspace.id, made.namespace):
            if pods.is_terminating(pod) or pods.is_over(pod):
                continue
            try:
                await self._refresh(workspace, made, pod)
            except ApiError as error:
                raise KworkspaceError(
                    f"the keys of {workspace.slug} are not renewed: {explain(error)}"
                ) from error

    async def _refresh(self, workspace: Workspace, made: Names, pod: Object) -> None:
        """Renew a Secret; a key that is taken away goes whatever has become of the profile."""
        try:
            options = await self._options_of(workspace)
        except (KworkspaceError, TraitError) as error:
            why = error.message if isinstance(error, KworkspaceError) else one_line(str(error))
            log.info("Only the keys of %s are renewed: %s", workspace.slug, why)
            await self.parts.objects.refresh_keys(workspace, made, pod)
        else:
            await self.parts.objects.refresh(options, workspace, made, pod)

    async def activity(self, gateways: Collection[str] = ()) -> Sequence[Activity]:
        """Return what each pod that lives is at."""
        assert self._signals is not None, "the spawner is not open"
        alive = [pod for pod in await self.parts.view.pods() if pods.is_alive(pod)]
        return await self._signals.activity([target_of(pod) for pod in alive], gateways)

    async def exec(
        self,
        id: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 60.0,
        most: int = MOST_BYTES,
    ) -> Result:
        """Run a program in a workspace, and return its exit code and what it printed.

        Raises:
            NotFound: the workspace does not run.
            KworkspaceError: the cluster does not let us, or it took too long.
        """
        for pod in await self.parts.view.pods_of(id):
            if pods.is_alive(pod):
                metadata = pod["metadata"]
                return await self.parts.client.exec(
                    metadata["namespace"],
                    metadata["name"],
                    pods.CONTAINER,
                    argv,
                    stdin=stdin,
                    timeout=timeout,
                    most=most,
                )
        raise NotFound("The workspace does not run")

    async def listeners(self, id: str, slug: str, own_port: int) -> Sequence[Listener]:
        """Return what listens in the pod, by one exec."""
        try:
            result = await self.exec(
                id, ports.program(), timeout=ports.SECONDS, most=ports.MOST_BYTES
            )
        except ExecFailed as error:
            raise KworkspaceError(f"What listens cannot be seen: {error.message}") from error
        return ports.parse(result.stdout, own_port)

    async def check(self) -> Sequence[Check]:
        """Return the rights that the hub needs, and whether it has them.

        Raises:
            KworkspaceError: the cluster cannot be asked.
        """
        async with await KubeClient.open(self) as client:
            return await access.check(client, self)

    async def run_beside(
        self, workspace: Workspace, task: Task, log: Callable[[str], None]
    ) -> TaskResult:
        """Run a Job with the workspace's volume."""
        assert self._beside is not None, "the spawner is not open"
        made = names(self, workspace)
        for claim in await self.parts.view.claims_of(workspace.id, made.namespace):
            made = replace(made, claim=str(claim["metadata"]["name"]))
        options = await self._options_of(workspace)
        return await self._beside.run(options, workspace, made, task, log)

    # -- what ends by itself ---------------------------------------------------------------------

    def _pod_changed(self, gone: bool, pod: Object) -> None:
        self._exits.changed(gone, pod)
        if gone and self._parts is not None:
            self._parts.removal.forget(pod)

    def _is_asked(self, pod: Object) -> bool:
        return self._parts is not None and self._parts.removal.is_ours(pod)
