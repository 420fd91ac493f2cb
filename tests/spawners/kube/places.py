"""Where the scenarios run: the tests' own cluster, and a real one that KUBECONFIG names.

A place has namespaces of its own, removed at the end, and a service account for the hub that has
the rights of `access.RIGHTS` and no others. What an admin of a cluster does is done here.
"""

import asyncio
import json
import os
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from kubernetes_asyncio import client as kubernetes
from kubernetes_asyncio.config import new_client_from_config

from kworkspace.spawners.kube.access import rules
from tests.conftest import RealHub
from tests.kube_api.cluster import Cluster, serve

ACCOUNT = "hub"
SECONDS = 60


class Place(ABC):
    """A cluster to run scenarios in.

    Attributes:
        api: an admin's client.
        namespace: where workspaces go.
        image: of workspaces, with sshd; it need not be pulled.
        storage_class: of homes.
        kubeconfig: of the hub's service account.
        made: the namespaces to remove.
    """

    api: kubernetes.ApiClient

    def __init__(self, directory: Path) -> None:
        self.namespace = ""
        self.image = "ubuntu:24.04"
        self.storage_class = "standard"
        self.kubeconfig = directory / "hub.kubeconfig"
        self.made: list[str] = []

    @property
    def core(self) -> Any:
        """Calls of the core API; its types want models, and dictionaries do."""
        return kubernetes.CoreV1Api(self.api)

    def options(self, **more: Any) -> dict[str, Any]:
        """Return options of the spawner."""
        return {
            "kubeconfig": str(self.kubeconfig),
            "namespace": self.namespace,
            "image": self.image,
            "image_pull_policy": "IfNotPresent",
            "storage_class": self.storage_class,
            "storage_capacity": "100Mi",
            "delete_grace_period": 2,
            "start_timeout": SECONDS,
            **more,
        }

    def config(self, **more: Any) -> str:
        """Return them as lines for hub_config.py."""
        lines = [
            f"c.KubeSpawner.{name} = {value!r}" for name, value in self.options(**more).items()
        ]
        return "\n".join(["c.Hub.spawner_class = 'kubernetes'", *lines])

    async def make_namespace(self, labels: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make a namespace for workspaces, and have the hub do there what it has to, no more."""
        self.namespace = f"kworkspace-test-{uuid.uuid4().hex[:8]}"
        metadata = {"name": self.namespace, "labels": dict(labels)}
        await self.core.create_namespace({"metadata": metadata})
        self.made.append(self.namespace)
        named = {"name": ACCOUNT, "namespace": self.namespace}
        await self.core.create_namespaced_service_account(self.namespace, {"metadata": named})
        rbac: Any = kubernetes.RbacAuthorizationV1Api(self.api)
        role = {"metadata": named, "rules": rules()}
        await rbac.create_namespaced_role(self.namespace, role)
        binding = {
            "metadata": named,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": ACCOUNT,
            },
            "subjects": [{"kind": "ServiceAccount", **named}],
        }
        await rbac.create_namespaced_role_binding(self.namespace, binding)
        await self._write_kubeconfig()

    async def _write_kubeconfig(self) -> None:
        made = await self.core.create_namespaced_service_account_token(
            ACCOUNT, self.namespace, {"spec": {"expirationSeconds": 3600}}
        )
        settings = self.api.configuration
        cluster: dict[str, Any] = {"server": settings.host}
        if settings.ssl_ca_cert:
            cluster["certificate-authority"] = str(settings.ssl_ca_cert)
        if not settings.verify_ssl:
            cluster["insecure-skip-tls-verify"] = True
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": ACCOUNT, "user": {"token": made.status.token}}],
            "contexts": [{"name": "hub", "context": {"cluster": "test", "user": ACCOUNT}}],
            "current-context": "hub",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))

    async def pod(self, name: str = "workspace-alice") -> Any:
        """Return a pod that is there."""
        return await self.core.read_namespaced_pod(name, self.namespace)

    async def names(self) -> list[str]:
        """Return the names of all pods."""
        found = await self.core.list_namespaced_pod(self.namespace)
        return [pod.metadata.name for pod in found.items]

    async def evict(self, name: str = "workspace-alice") -> None:
        """Evict a pod, as `kubectl drain` does."""
        body = {"metadata": {"name": name, "namespace": self.namespace}}
        await self.core.create_namespaced_pod_eviction(name, self.namespace, body)

    async def delete(self, name: str = "workspace-alice") -> None:
        """Delete a pod, as `kubectl delete` does."""
        await self.core.delete_namespaced_pod(name, self.namespace)

    async def forbid_pods(self) -> None:
        """Set a quota that is used up."""
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        await self.core.create_namespaced_resource_quota(self.namespace, quota)

    @abstractmethod
    async def run_out_of_memory(self, hub: RealHub) -> None:
        """Have the workspace use more memory than it may."""


class TestPlace(Place):
    """The tests' own cluster, whose pods are processes here."""

    __test__ = False

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        super().__init__(directory)
        self.cluster = cluster

    async def run_out_of_memory(self, hub: RealHub) -> None:
        """Say so."""
        self.cluster.kubelet.oom(self.namespace, f"workspace-{hub.user}")


class RealPlace(Place):
    """A real cluster."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.image = os.environ.get("KWORKSPACE_TEST_IMAGE", self.image)
        self.storage_class = os.environ.get("KWORKSPACE_TEST_STORAGE_CLASS", self.storage_class)

    async def run_out_of_memory(self, hub: RealHub) -> None:
        """Write into memory until the kernel ends all of the container.

        With control groups of version 1 it ends one process alone: the workspace goes on.
        """
        line = hub.ssh("test -e /sys/fs/cgroup/cgroup.controllers")
        done = await asyncio.to_thread(subprocess.run, line, check=False, timeout=SECONDS)
        if done.returncode:
            pytest.skip("the node's control groups are of version 1")
        line = hub.ssh("head -c 1G /dev/zero | tail")
        await asyncio.to_thread(subprocess.run, line, check=False, timeout=SECONDS)


@asynccontextmanager
async def own_cluster(directory: Path) -> AsyncIterator[Place]:
    """Serve the tests' own cluster."""
    async with (
        serve(directory, pace=0.02) as cluster,
        opened(TestPlace(directory, cluster), cluster.kubeconfig) as place,
    ):
        yield place


@asynccontextmanager
async def real_cluster(directory: Path) -> AsyncIterator[Place]:
    """Use the cluster that KUBECONFIG names."""
    async with opened(RealPlace(directory), Path(os.environ["KUBECONFIG"])) as place:
        yield place


@asynccontextmanager
async def opened(place: Place, kubeconfig: Path) -> AsyncIterator[Place]:
    """Make a place's namespace, and remove it at the end."""
    async with await new_client_from_config(str(kubeconfig)) as api:
        place.api = api
        try:
            await place.make_namespace()
            yield place
        finally:
            for namespace in place.made:
                await place.core.delete_namespace(namespace)
