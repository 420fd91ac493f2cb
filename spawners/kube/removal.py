"""Ends pods: with their grace period, by force when they do not go, and never the wrong one.

Every deletion carries the uid of the pod that is meant, so that whoever is late deletes nothing
that was made meanwhile. Called by starts that fail and by `stop`; what is ended here is no exit.
"""

import asyncio
import logging
import time

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.errors import ConflictInCluster, NotFoundInCluster
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.view import View

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0  # between two looks for a pod whose end no watch has told
LAST_SECONDS = 30.0  # after force: only a finalizer holds it then


class Removal:
    """Ends pods.

    Args:
        client: to the API server.
        view: tells when they are gone.
        force_after: seconds past its grace period after which a pod is removed without its node's
            word, as when the node is lost.
    """

    def __init__(self, *, client: KubeClient, view: View, force_after: float) -> None:
        self._client = client
        self._view = view
        self._force_after = force_after
        self._ending: set[str] = set()

    def is_ours(self, pod: Object) -> bool:
        """Whether a pod ends because it was ended here."""
        return pods.uid(pod) in self._ending

    def forget(self, pod: Object) -> None:
        """It is gone."""
        self._ending.discard(pods.uid(pod))

    async def end(self, pod: Object) -> None:
        """End a pod and return when it is gone.

        Raises:
            ApiError: the API server does not let us.
            KworkspaceError: it does not go even by force.
        """
        self._ending.add(pods.uid(pod))
        with self._view.leaving(pod) as gone:
            if not await self._delete(pod, None):
                return
            grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds", 30)
            if await gone_within(self._client, Kind.POD, pod, gone, grace + self._force_after):
                return
            name = pod["metadata"]["name"]
            log.warning("Pod %s does not end: removing it by force", name)
            if not await self._delete(pod, 0) or await gone_within(
                self._client, Kind.POD, pod, gone, LAST_SECONDS
            ):
                return
        held = ", ".join(pod["metadata"].get("finalizers") or ())
        raise KworkspaceError(
            f"pod {name} does not go{f': it is held by {held}' if held else ''}; an admin has to"
            " look at it"
        )

    async def _delete(self, pod: Object, grace: int | None) -> bool:
        """Ask for it; False if it is gone."""
        metadata = pod["metadata"]
        try:
            await self._client.delete(
                Kind.POD, metadata["namespace"], metadata["name"], uid=pods.uid(pod), grace=grace
            )
        except (NotFoundInCluster, ConflictInCluster):  # the name is free, or another pod's
            return False
        return True


async def gone_within(
    client: KubeClient, kind: Kind, object: Object, gone: asyncio.Event, seconds: float
) -> bool:
    """Wait until an object that was deleted is gone, and return whether it is.

    Args:
        client: to the API server, which is asked where no watch tells.
        kind: of the object.
        object: this very one.
        gone: of `View.leaving`.
        seconds: the longest wait.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(min(left, LOOK_SECONDS)):
                await gone.wait()
        except TimeoutError:
            if not await _is_there(client, kind, object):
                return True
        else:
            return True
    return False


async def _is_there(client: KubeClient, kind: Kind, object: Object) -> bool:
    metadata = object["metadata"]
    try:
        found = await client.get(kind, metadata["namespace"], metadata["name"])
    except NotFoundInCluster:
        return False
    return pods.uid(found) == pods.uid(object)
