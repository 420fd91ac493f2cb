"""The Secret, the Service and the namespace of a workspace: ensured, brought up to date, deleted.

The hub has no right to get Secrets. What it needs of one, the public half of the host key, comes
back with the answer to what it writes; whose Secret it is, from a patch that changes nothing.
"""

import base64
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncssh
import msgspec

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.errors import AlreadyExists, ConflictInCluster, NotFoundInCluster
from kworkspace.spawners.kube.found import HOST_KEY, HUB_LABEL, server_of
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.manifests.namespace import make_namespace
from kworkspace.spawners.kube.manifests.secret import HOST_CERTIFICATE, keys_of, make_secret
from kworkspace.spawners.kube.manifests.service import make_service
from kworkspace.spawners.kube.names import Names
from kworkspace.spawners.kube.pods import Object

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

log = logging.getLogger(__name__)

KEYS = "kworkspace.io/keys"  # of a pod: a digest of those that its Secret has
SECRET = "kworkspace.io/secret"  # of a pod: the Secret that it mounts  # noqa: S105  # a name
CHANGING = "changing"
_HOST_KEY = "ssh_host_ed25519_key"
_PUBLIC = f"{_HOST_KEY}.pub"
_OF_HOST = (_HOST_KEY, _PUBLIC, HOST_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class Keys:
    """A workspace's Secret that is there.

    Attributes:
        host_key: the public line to pin.
        digest: of all else that is in it.
        made: whether it was made just now.
    """

    host_key: str
    digest: str
    made: bool


class Objects:
    """They.

    Args:
        client: to the API server.
        hub_id: of this hub.
    """

    def __init__(self, *, client: KubeClient, hub_id: str) -> None:
        self._client = client
        self._hub_id = hub_id
        self._applied: dict[str, str] = {}
        self._namespaces: set[str] = set()

    async def ensure_secret(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names
    ) -> Keys:
        """Make the Secret, or bring the one that is there up to date; its host key stays.

        Raises:
            StartFailed: it is another's.
            ApiError: the API server refuses.
        """
        private, public = new_host_key()
        body = make_secret(
            options,
            workspace,
            names,
            host_key_private=private,
            host_key_public=public,
            certified=public,
        )
        try:
            await self._client.create(Kind.SECRET, names.namespace, body, repeatable=True)
        except AlreadyExists:
            found = await self._update_secret(options, workspace, names, body)
            return replace(found, made=found.host_key == public)  # a call made twice
        self._applied[workspace.id] = digested = digest(body, workspace)
        return Keys(public, digested, made=True)

    async def _update_secret(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names, new: Object
    ) -> Keys:
        found = await self._client.patch_merge(Kind.SECRET, names.namespace, names.secret, {})
        self._check(found, workspace, "Secret")
        secret = await self._apply_secret(options, workspace, names, _text(found, _PUBLIC))
        public = _text(secret, _PUBLIC)
        if not public or not _text(secret, _HOST_KEY):
            # Somebody has emptied it. A patch, as the next apply would take away what one applied.
            keys = {key: new["data"][key] for key in _OF_HOST if key in new["data"]}
            secret = await self._client.patch_merge(
                Kind.SECRET, names.namespace, names.secret, {"data": keys}
            )
            public = _text(secret, _PUBLIC)
        return Keys(public, digest(new, workspace), made=False)

    async def refresh(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names, pod: Object
    ) -> None:
        """Bring keys, authorities and host certificate of a running workspace up to date.

        A pod that changes has its node look after its volumes at once, instead of within a minute.

        Raises:
            ApiError: the API server refuses.
        """
        names = replace(names, secret=pods.annotation(pod, SECRET) or names.secret)
        body = make_secret(options, workspace, names, host_key_private=None, host_key_public=None)
        public = pods.annotation(pod, HOST_KEY)
        write = partial(self._apply_secret, options, workspace, names, public)
        await self._renew(workspace, pod, digest(body, workspace), write)

    async def refresh_keys(self, workspace: Workspace, names: Names, pod: Object) -> None:
        """Bring them up to date, and nothing else that the options decide.

        Raises:
            ApiError: the API server refuses.
        """
        name = pods.annotation(pod, SECRET) or names.secret
        patch = {"data": keys_of(workspace, pods.annotation(pod, HOST_KEY))}
        write = partial(self._client.patch_merge, Kind.SECRET, names.namespace, name, patch)
        await self._renew(workspace, pod, digest(patch, workspace), write)

    async def _renew(
        self,
        workspace: Workspace,
        pod: Object,
        wanted: str,
        write: Callable[[], Awaitable[Object]],
    ) -> None:
        told = pods.annotation(pod, KEYS)
        if wanted == told == self._applied.get(workspace.id):
            return
        if wanted != told:
            # First, so that whoever takes over from a hub that dies here does it again.
            await self._note_keys(pod, CHANGING)
        await write()
        if wanted != told:
            await self._note_keys(pod, wanted)
        self._applied[workspace.id] = wanted

    async def _note_keys(self, pod: Object, text: str) -> None:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": pods.uid(pod), "annotations": {KEYS: text}}}
        with contextlib.suppress(NotFoundInCluster, ConflictInCluster):
            await self._client.patch_merge(Kind.POD, metadata["namespace"], metadata["name"], patch)

    async def _apply_secret(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names, public: str
    ) -> Object:
        """Apply it without the host key, which stays, and with another certificate for that."""
        body = make_secret(
            options,
            workspace,
            names,
            host_key_private=None,
            host_key_public=None,
            certified=public,
        )
        secret = await self._client.apply(Kind.SECRET, names.namespace, names.secret, body)
        self._applied[workspace.id] = digest(body, workspace)
        return secret

    async def ensure_service(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names
    ) -> bool:
        """Make the Service, or bring it up to date, if there is to be one; whether it is new.

        Raises:
            StartFailed: it is another's.
            ApiError: the API server refuses.
        """
        body = make_service(options, workspace, names)
        if body is None:
            return False
        try:
            found = await self._client.get(Kind.SERVICE, names.namespace, names.service)
        except NotFoundInCluster:
            found = None
        if found is not None:
            self._check(found, workspace, "Service")
        await self._client.apply(Kind.SERVICE, names.namespace, names.service, body)
        return found is None

    def _check(self, found: Object, workspace: Workspace, kind: str) -> None:
        if pods.label(found, HUB_LABEL) != self._hub_id or server_of(found) != workspace.id:
            raise StartFailed(
                f"the {kind} {found['metadata']['name']} is not this workspace's: an admin has to"
                " delete it, or to change c.KubeSpawner.pod_name_template"
            )

    async def ensure_namespace(
        self, options: "KubeSpawnerOptions", workspace: Workspace, names: Names
    ) -> None:
        """Make a user's namespace if it is not there."""
        name = names.namespace
        if name in self._namespaces:
            return
        try:
            await self._client.get(Kind.NAMESPACE, None, name)
        except NotFoundInCluster:
            body = make_namespace(options, workspace, names)
            with contextlib.suppress(AlreadyExists):
                await self._client.create(Kind.NAMESPACE, None, body)
                log.info("Made the namespace %s", name)
        self._namespaces.add(name)

    async def delete(self, kind: Kind, namespace: str, name: str, id: str) -> None:
        """Delete a Secret or Service if it is this server's; one that is not there is fine.

        Raises:
            KworkspaceError: the API server refuses.
        """
        try:
            found = await self._client.patch_merge(kind, namespace, name, {})
        except NotFoundInCluster:
            return
        if pods.label(found, HUB_LABEL) != self._hub_id or server_of(found) != id:
            log.warning("%s %s is not of server %s: it is kept", kind, name, id)
            return
        try:
            await self._client.delete(kind, namespace, name, uid=pods.uid(found))
        except (NotFoundInCluster, ConflictInCluster):
            return
        self._applied.pop(id, None)


def new_host_key() -> tuple[str, str]:
    """Return a new host key: the private half, and the public half as an OpenSSH line."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key.export_private_key().decode(), key.export_public_key().decode().strip()


def digest(body: Mapping[str, Any], workspace: Workspace) -> str:
    """Return a digest of a Secret's content: whether it has changed, or is to be another one.

    The host key stays, and of its certificate it is known when that is due.
    """
    content = {
        key: value
        for key, value in {**(body.get("data") or {}), **(body.get("stringData") or {})}.items()
        if key not in _OF_HOST
    } | {"certificate_mark": workspace.certificate_mark}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:32]


def _text(secret: Object, key: str) -> str:
    data = secret.get("data") or {}
    return base64.b64decode(data.get(key, "")).decode().strip()
