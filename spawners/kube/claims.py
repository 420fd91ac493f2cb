"""The claim that a workspace's home is on: found, made, adopted, grown; deleted only if asked for.

It is looked for by its labels first, so that neither a changed template nor a renamed user loses a
home; then by its name, which finds the unlabelled ones of the predecessor. What bears the labels of
another hub, user or server is never touched.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.errors import (
    AlreadyExists,
    ConflictInCluster,
    Forbidden,
    Invalid,
    NotFoundInCluster,
)
from kworkspace.spawners.kube.found import (
    HUB_LABEL,
    MANAGED_LABEL,
    OWNER,
    SERVER_LABEL,
    USER_LABEL,
    server_of,
)
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.manifests.claim import make_claim
from kworkspace.spawners.kube.names import Names
from kworkspace.spawners.kube.pods import Object
from kworkspace.spawners.kube.quantities import parse_quantity
from kworkspace.spawners.kube.refusals import explain
from kworkspace.spawners.kube.removal import gone_within
from kworkspace.spawners.kube.view import View

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

log = logging.getLogger(__name__)

GONE_SECONDS = 60.0  # until what protects a claim in use has let it go


@dataclass(frozen=True, slots=True)
class Ensured:
    """A claim that is there.

    Attributes:
        claim: as the API server has it.
        made: whether it was made just now, so that nothing is in it.
    """

    claim: Object
    made: bool

    @property
    def name(self) -> str:
        """What the pod names it by."""
        return str(self.claim["metadata"]["name"])


class Claims:
    """The claims.

    Args:
        client: to the API server.
        view: what is there.
        hub_id: of this hub.
    """

    def __init__(self, *, client: KubeClient, view: View, hub_id: str) -> None:
        self._client = client
        self._view = view
        self._hub_id = hub_id

    async def ensure(
        self,
        options: "KubeSpawnerOptions",
        workspace: Workspace,
        names: Names,
        tell: Callable[[str], None],
    ) -> Ensured | None:
        """Return the workspace's claim, made if there is none; None where storage is off.

        Args:
            options: the configuration, the profile's overrides included.
            workspace: whose.
            names: what its objects are called.
            tell: called with what the person should know.

        Raises:
            StartFailed: the claim is somebody else's, or is being deleted.
            ApiError: the API server refuses.
        """
        wanted = make_claim(options, workspace, names)
        if wanted is None:
            return None
        found = await self._labelled(workspace, names)
        if found is None:
            # Most often there is none, so that to ask first would be a call too many.
            try:
                made = await self._client.create(
                    Kind.CLAIM, names.namespace, wanted, repeatable=True
                )
                return Ensured(made, True)
            except (AlreadyExists, Forbidden, Invalid) as error:
                # A quota, and what is wrong with it, count before that it exists.
                found = await self._named(names)
                if found is None:
                    raise
                log.debug("Volume claim %s is there: %s", names.claim, error)
        self._check(found, wanted)
        found = await self._label(found, wanted)
        return Ensured(await self._grow(found, wanted, tell), False)

    async def _labelled(self, workspace: Workspace, names: Names) -> Object | None:
        """Return the claim with the workspace's label."""
        return min(
            await self._view.claims_of(workspace.id, names.namespace),
            key=lambda claim: (
                pods.is_terminating(claim),
                claim["metadata"]["name"] != names.claim,
                pods.created(claim),
            ),
            default=None,
        )

    async def _named(self, names: Names) -> Object | None:
        """Return the claim with the workspace's name, as the predecessor's, which has no labels."""
        try:
            return await self._client.get(Kind.CLAIM, names.namespace, names.claim)
        except NotFoundInCluster:
            return None

    def _check(self, claim: Object, wanted: Object) -> None:
        """Refuse a claim that is another's.

        Raises:
            StartFailed: it says whose it is.
        """
        name = claim["metadata"]["name"]
        if pods.is_terminating(claim):
            raise StartFailed(f"the volume claim {name} is being deleted: try again in a moment")
        for key, what in (
            (MANAGED_LABEL, "is managed by"),
            (HUB_LABEL, "belongs to another hub"),
            (SERVER_LABEL, "belongs to another workspace"),
            (USER_LABEL, "belongs to another user"),
        ):
            has, should = pods.label(claim, key), pods.label(wanted, key)
            renamed = (
                key == USER_LABEL and server_of(claim) and server_of(claim) == server_of(wanted)
            )
            if has and has != should and not renamed:
                raise StartFailed(
                    f"the volume claim {name} {what} ({has}); an admin has to change"
                    " c.KubeSpawner.pvc_name_template, or the claim's labels"
                )

    async def _label(self, claim: Object, wanted: Object) -> Object:
        """Have a claim bear our labels and annotations, as the predecessor's do not."""
        should, has = wanted["metadata"], claim["metadata"]
        missing = [
            kind
            for kind in ("labels", "annotations")
            if not _within(should.get(kind) or {}, has.get(kind) or {})
        ]
        if not missing:
            return claim
        if not pods.label(claim, MANAGED_LABEL):
            log.info("Volume claim %s bears no labels: it is taken over", has["name"])
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": has["name"],
                "labels": should.get("labels") or {},
                "annotations": should.get("annotations") or {},
            },
        }
        return await self._client.apply(Kind.CLAIM, has["namespace"], has["name"], body)

    async def _grow(self, claim: Object, wanted: Object, tell: Callable[[str], None]) -> Object:
        """Expand a claim that is smaller than configured; one that is larger stays so."""
        size, has = _size(wanted), _size(claim)
        if not size or parse_quantity(size) <= parse_quantity(has or "0"):
            return claim
        if (claim.get("status") or {}).get("phase") != "Bound":
            return claim  # it cannot be changed until it is; the next start sees to it
        metadata = claim["metadata"]
        patch = {"spec": {"resources": {"requests": {"storage": size}}}}
        try:
            grown = await self._client.patch_merge(
                Kind.CLAIM, metadata["namespace"], metadata["name"], patch
            )
        except (Forbidden, Invalid) as error:
            # The class does not allow it: the workspace starts with the room that it has.
            why = explain(error)
            log.warning("Volume claim %s cannot grow to %s: %s", metadata["name"], size, why)
            tell(f"The home stays at {has}, it cannot grow to {size}: {why}")
            return claim
        log.info("Volume claim %s grows from %s to %s", metadata["name"], has, size)
        tell(f"The home grows from {has} to {size}")
        return grown

    async def delete(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names
    ) -> None:
        """Delete a workspace's claim for ever: such as bear its labels, and are its alone.

        The claim that all workspaces of a user have goes with the default one, which goes with
        its user.

        Raises:
            KworkspaceError: the API server does not let us, or the claim does not go.
        """
        found: list[Object] = list(await self._view.claims_of(workspace.id, names.namespace))
        wanted = make_claim(options, workspace, names)
        if wanted is not None and not server_of(wanted) and not workspace.name:
            try:
                shared = await self._client.get(Kind.CLAIM, names.namespace, names.claim)
            except NotFoundInCluster:
                pass
            else:
                users = pods.label(shared, USER_LABEL), pods.label(wanted, USER_LABEL)
                if not server_of(shared) and users[0] == users[1]:
                    found.append(shared)
        for claim in found:
            await self.delete_one(claim)

    async def delete_one(self, claim: Object) -> None:
        """Delete this very claim if it is this hub's."""
        metadata = claim["metadata"]
        ours = (
            pods.label(claim, MANAGED_LABEL) == OWNER
            and pods.label(claim, HUB_LABEL) == self._hub_id
        )
        if not ours:
            log.warning("Volume claim %s is not this hub's: it is kept", metadata["name"])
            return
        with self._view.leaving(claim) as gone:
            try:
                await self._client.delete(
                    Kind.CLAIM, metadata["namespace"], metadata["name"], uid=pods.uid(claim)
                )
            except (NotFoundInCluster, ConflictInCluster):
                return
            if not await gone_within(self._client, Kind.CLAIM, claim, gone, GONE_SECONDS):
                raise KworkspaceError(
                    f"the volume claim {metadata['name']} is deleted, but still in use; an admin"
                    " has to look at it"
                )
        log.info("Deleted the volume claim %s", metadata["name"])


def _size(claim: Object) -> str:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return str(requests.get("storage", ""))


def _within(part: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    return part.items() <= whole.items()
