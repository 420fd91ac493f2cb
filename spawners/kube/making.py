"""Makes what a workspace runs on: claim, Secret, Service and pod; or finds them made.

Each call is done to its end even if the start is cancelled meanwhile, so that it is always known
what there is to take away. Called by `starts`, any number of times for one workspace.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from kworkspace.cli.client.errors import StartFailed
from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import hooks, pods
from kworkspace.spawners.kube.claims import Claims, Ensured
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.errors import AlreadyExists, NotFoundInCluster
from kworkspace.spawners.kube.found import HUB_LABEL, MANAGED_LABEL, server_of
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.names import Names, account_name
from kworkspace.spawners.kube.objects import KEYS, SECRET, Keys, Objects
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.removal import Removal
from kworkspace.spawners.kube.turns import Turns
from kworkspace.spawners.kube.view import View

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

T = TypeVar("T")

HOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What starts work with.

    Attributes:
        spawner: what hooks are called with.
        client: to the API server.
        view: what is there, and its changes.
        objects: Secret and Service.
        claims: the homes.
        removal: ends pods.
        tasks: owns what must be done to its end.
        turns: of all starts.
    """

    spawner: Any
    client: KubeClient
    view: View
    objects: Objects
    claims: Claims
    removal: Removal
    tasks: Tasks
    turns: Turns = field(default_factory=Turns)


class Making:
    """What is made for one start.

    Args:
        parts: what it works with.
        options: the configuration, the profile's overrides included.
        workspace: for whom.
        names: what its objects are called.
        tell: called with what it is at.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        options: "KubeSpawnerOptions",
        workspace: Workspace,
        names: Names,
        tell: Callable[[int, str], None],
    ) -> None:
        self._parts = parts
        self._options = options
        self._workspace = workspace
        self._names = names
        self._tell = tell
        self._claim: Ensured | None = None
        self._keys: Keys | None = None
        self._new_service = False
        self._pod: Object | None = None

    async def adopt(self) -> Object | None:
        """Return the pod that an earlier start has made; one that has ended is removed."""
        found = None
        for seen in await self._parts.view.pods_of(self._workspace.id, self._names.namespace):
            # As it is at this moment: nobody is to be led to one that is being deleted.
            pod = await self._now(seen)
            if pod is None:
                continue
            if pods.is_terminating(pod) or pods.is_over(pod) or found is not None:
                self._tell(5, "Waiting for the previous pod to end")
                await self._parts.removal.end(pod)
            else:
                found = pod
        if found is not None:
            if not pods.is_ready(found):
                await self._parts.view.load_events(found)
            await self._parts.objects.refresh(self._options, self._workspace, self._names, found)
        self._pod = found
        return found

    async def _now(self, pod: Object) -> Object | None:
        metadata = pod["metadata"]
        client = self._parts.client
        try:
            found = await client.get(Kind.POD, metadata["namespace"], metadata["name"])
        except NotFoundInCluster:
            return None
        return found if server_of(found) == self._workspace.id else None

    async def ensure(self) -> None:
        """Have everything there that the pod needs."""
        self._tell(5, "Making the volume, the keys and the pod")
        async with self._parts.turns.one():
            await self._ensure()

    async def _ensure(self) -> None:
        if self._options.enable_user_namespaces:
            await self._whole(
                self._parts.objects.ensure_namespace,
                self._options,
                self._workspace,
                self._names,
            )
        outcomes = await asyncio.gather(
            self._whole(self._ensure_claim),
            self._whole(self._ensure_keys),
            self._whole(self._ensure_service),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _ensure_claim(self) -> None:
        ensured = await self._parts.claims.ensure(
            self._options, self._workspace, self._names, lambda text: self._tell(10, text)
        )
        if ensured is not None:
            made = ensured.made or (self._claim is not None and self._claim.made)
            self._claim = replace(ensured, made=made)
            self._names = replace(self._names, claim=ensured.name)

    async def _ensure_keys(self) -> None:
        keys = await self._parts.objects.ensure_secret(self._options, self._workspace, self._names)
        self._keys = replace(keys, made=keys.made or (self._keys is not None and self._keys.made))

    async def _ensure_service(self) -> None:
        self._new_service |= await self._parts.objects.ensure_service(
            self._options, self._workspace, self._names
        )

    async def manifest(self) -> Object:
        """Return the pod to make, as the hook of the configuration wants it.

        Raises:
            StartFailed: the hook failed, or made something else of it.
        """
        assert self._keys is not None
        manifest: dict[str, Any] = make_pod(
            self._options,
            self._workspace,
            self._names,
            account=account_name(self._options, self._workspace),
            host_key=self._keys.host_key,
        )
        manifest["metadata"].setdefault("annotations", {}).update(
            {KEYS: self._keys.digest, SECRET: self._names.secret}
        )
        hook = self._options.modify_pod_hook
        if hook is None:
            return manifest
        before = copy.deepcopy(manifest["metadata"])
        spawner = self._parts.spawner
        pod = await hooks.call("modify_pod_hook", hook, spawner, manifest, seconds=HOOK_SECONDS)
        return _checked(pod, before)

    async def create(self, manifest: Object) -> Object:
        """POST the pod; one of the same name is adopted, waited for, or somebody else's.

        Raises:
            StartFailed: it is somebody else's.
            ApiError: the API server refuses.
        """
        while True:
            try:
                await self._whole(self._post, manifest)
            except AlreadyExists:
                await self._take_over(manifest)
            if self._pod is not None:
                return self._pod

    async def _post(self, manifest: Object) -> None:
        self._pod = await self._parts.client.create(
            Kind.POD, self._names.namespace, manifest, repeatable=True
        )

    async def _take_over(self, manifest: Object) -> None:
        """Adopt the pod that has our name, or wait until it is gone."""
        names = self._names
        try:
            found = await self._parts.client.get(Kind.POD, names.namespace, names.pod)
        except NotFoundInCluster:
            return
        if not _is_of(found, manifest):
            raise StartFailed(
                f"there is another pod named {names.pod} in the namespace {names.namespace}; an"
                " admin has to remove it, or to change c.KubeSpawner.pod_name_template"
            )
        if not (pods.is_terminating(found) or pods.is_over(found)):
            self._pod = found
            return
        self._tell(10, "Waiting for the previous pod to end")
        await self._parts.removal.end(found)

    async def created(self) -> None:
        """Call the hook of the configuration for the pod that is made."""
        hook = self._options.after_pod_created_hook
        if hook is not None:
            spawner = self._parts.spawner
            await hooks.call(
                "after_pod_created_hook", hook, spawner, self._pod, seconds=HOOK_SECONDS
            )

    async def take_away(self, *, ran: bool) -> None:
        """End the pod, and remove what there was nothing of before this start.

        Args:
            ran: something may have written to the volume, so that it stays.
        """
        names, objects, id = self._names, self._parts.objects, self._workspace.id
        if self._pod is not None:
            await self._parts.removal.end(self._pod)
        if self._new_service:
            await objects.delete(Kind.SERVICE, names.namespace, names.service, id)
        if ran:
            return
        if self._claim is not None and self._claim.made:
            await self._parts.claims.delete_one(self._claim.claim)
        if self._keys is not None and self._keys.made:
            await objects.delete(Kind.SECRET, names.namespace, names.secret, id)

    async def _whole(self, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do something to its end even if this start is cancelled meanwhile, then say so."""
        task = self._parts.tasks.spawn(outcome(work(*args)), f"make {self._workspace.slug}")
        try:
            _, error = await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise
        if error is not None:
            raise error


async def outcome(work: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Return what something returns, or raises: a task's failure would be logged as a defect."""
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001  # raised by who waits
        return None, error


def _is_of(pod: Object, manifest: Object) -> bool:
    """Whether a pod is of the same hub and server as the one that was to be made."""
    if not server_of(pod) or server_of(pod) != server_of(manifest):
        return False
    keys = (MANAGED_LABEL, HUB_LABEL)
    return all(pods.label(pod, key) == pods.label(manifest, key) for key in keys)


def _checked(pod: Any, before: Mapping[str, Any]) -> Object:
    """Return what a hook made of a pod, if it is still that pod.

    Raises:
        StartFailed: it is not.
    """
    option = "c.KubeSpawner.modify_pod_hook"
    if not isinstance(pod, dict):
        raise StartFailed(f"{option}: it has to return the pod, not {pod!r}")
    metadata = pod.get("metadata") or {}
    for key in ("name", "namespace"):
        if metadata.get(key) != before.get(key):
            raise StartFailed(f"{option}: it must not change metadata.{key}")
    for kind in ("labels", "annotations"):
        ours = {k: v for k, v in (before.get(kind) or {}).items() if "kworkspace" in f"{k} {v}"}
        if not ours.items() <= (metadata.get(kind) or {}).items():
            raise StartFailed(f"{option}: it must not change kworkspace's own {kind}")
    checked: Object = pod
    containers = (pod.get("spec") or {}).get("containers") or ()
    if not any(container.get("name") == pods.CONTAINER for container in containers):
        raise StartFailed(f"{option}: there is no container '{pods.CONTAINER}' any more")
    return checked
