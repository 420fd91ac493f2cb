"""Makes runs of real processes for the kubelet, and keeps their volumes up to date."""

import asyncio
import itertools
import shutil
from pathlib import Path

from kworkspace.cli.client.tasks import Tasks
from tests.kube_api.kinds import CLAIMS, CONFIG_MAPS, PODS, SECRETS
from tests.kube_api.node.images import Image
from tests.kube_api.node.process import RealRun
from tests.kube_api.node.volumes import Volumes
from tests.kube_api.node.worker import Worker
from tests.kube_api.objects import Object
from tests.kube_api.store import Change, Store


class RealNode:
    """The real half of the node.

    Args:
        directory: of all pods' and claims' files.
    """

    def __init__(self, store: Store, directory: Path, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._pods = directory / "pods"
        self.claims = directory / "claims"
        self._volumes: dict[str, Volumes] = {}
        self._serial = itertools.count(1)
        store.listeners.append(self._see)

    def make_run(self, worker: Worker, container: Object, image: Image) -> RealRun:
        """Return a run of a container, not started yet."""
        root = self._pods / worker.uid
        if worker.uid not in self._volumes:
            self._volumes[worker.uid] = Volumes(
                worker.pod, self._store, root=root / "volumes", claims=self.claims
            )
        return RealRun(
            pod=worker.pod,
            container=container,
            image=image,
            store=self._store,
            volumes=self._volumes[worker.uid],
            directory=root / f"{container['name']}-{next(self._serial)}",
            ip=worker.ip,
            tasks=self._tasks,
        )

    def _see(self, change: Change) -> None:
        loop = asyncio.get_running_loop()
        if change.resource in {SECRETS, CONFIG_MAPS}:
            for volumes in self._volumes.values():
                loop.call_soon(volumes.refresh)
        elif change.resource is PODS and change.deleted:
            volumes_or_none = self._volumes.pop(change.new["metadata"]["uid"], None)
            if volumes_or_none is not None:
                volumes_or_none.remove()
        elif change.resource is CLAIMS and change.deleted:
            shutil.rmtree(self.claims / change.key[0] / change.key[1], ignore_errors=True)
