"""A test cluster, and hubs on it."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kworkspace.spawners.base import Exit, Running, Workspace
from kworkspace.spawners.kube import KubeSpawner
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object

NAMESPACE = "workspaces"


@dataclass
class House:
    """A cluster, and hubs on it, one after another or at once.

    Attributes:
        told: what starts have told.
        exits: what the hubs were told of ends.
    """

    cluster: Cluster
    directory: Path
    told: list[tuple[int, str]] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    spawners: list[KubeSpawner] = field(default_factory=list)

    async def open(self, hub_id: str = "hub", **options: Any) -> KubeSpawner:
        """Begin another hub."""
        options = {
            "namespace": NAMESPACE,
            "image": "cheap:1",
            "kubeconfig": str(self.cluster.kubeconfig),
            **options,
        }
        spawner = KubeSpawner(
            hub_id=hub_id,
            data_dir=self.directory,
            on_exit=self.exits.append,
            **options,
        )
        await spawner.open()
        self.spawners.append(spawner)
        return spawner

    async def close(self, spawner: KubeSpawner) -> None:
        """End a hub as if it were killed: what is under way stops where it is."""
        self.spawners.remove(spawner)
        await spawner.aclose()

    async def aclose(self) -> None:
        """End all hubs."""
        for spawner in self.spawners:
            await spawner.aclose()

    def tell(self, percent: int, message: str) -> None:
        """Hear what a start tells."""
        self.told.append((percent, message))

    @property
    def messages(self) -> list[str]:
        """What was told, each line once."""
        return list(dict.fromkeys(message for _, message in self.told))

    async def start(self, spawner: KubeSpawner, workspace: Workspace) -> Running:
        """Start, and hear what is told."""
        return await spawner.start(workspace, self.tell)

    def pod(self, name: str = "workspace-alice") -> Object:
        """Return a pod that is there."""
        found = self.cluster.get("pods", NAMESPACE, name)
        assert found is not None, name
        return found

    def names(self, plural: str) -> list[str]:
        """Return the names of the objects of a kind."""
        return sorted(thing["metadata"]["name"] for thing in self.cluster.every(plural, NAMESPACE))

    def left(self) -> dict[str, list[str]]:
        """Return what there is, by kind."""
        kinds = ("pods", "persistentvolumeclaims", "secrets", "services", "jobs")
        return {kind: names for kind in kinds if (names := self.names(kind))}


def workspace(user: str = "alice", name: str = "", **fields: Any) -> Workspace:
    """Return a workspace of a user; its slug is the user's name."""
    slug = f"{user}-{name}" if name else user
    fields = {"id": str(uuid.uuid4()), "slug": slug, **fields}
    return Workspace(user=user, name=name, **fields)
