"""The chart in a real cluster, which KUBECONFIG names: what stays, and what the hub may do."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import helm_python
import pytest
from kubernetes_asyncio import client as kubernetes
from kubernetes_asyncio.config import new_client_from_config

from kworkspace.spawners.kube.access import RIGHTS
from tests.charts.helm import RELEASE, chart, pod

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster"),
]


@dataclass
class Place:
    """Two namespaces of a cluster, of which the release's enforces `restricted`."""

    api: kubernetes.ApiClient
    namespace: str
    workspaces: str

    @property
    def core(self) -> Any:
        """Calls of the core API; its types want models, and dictionaries do."""
        return kubernetes.CoreV1Api(self.api)

    async def helm(self, call: Callable[[helm_python.Config], Any]) -> Any:
        """Have Helm do something, as an admin."""

        def run() -> Any:
            with helm_python.Config(
                kubeconfig_path=os.environ["KUBECONFIG"], namespace=self.namespace
            ) as config:
                return call(config)

        return await asyncio.to_thread(run)

    @property
    def values(self) -> dict[str, Any]:
        """The least; no node has the image."""
        return {
            "image": {"repository": "registry.invalid/kworkspace-hub"},
            "workspaces": {"namespace": self.workspaces, "podSecurity": "baseline"},
        }

    async def secrets(self) -> dict[str, dict[str, str]]:
        """Return what the two Secrets hold."""
        found = {}
        for name in ("kworkspace-hub", "kworkspace-gateway"):
            secret = await self.core.read_namespaced_secret(name, self.namespace)
            found[name] = secret.data
        return found

    async def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether the hub's service account may do something."""
        plural, _, subresource = resource.partition("/")
        attributes = {
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
            "namespace": namespace,
        }
        user = f"system:serviceaccount:{self.namespace}:kworkspace-hub"
        reviews: Any = kubernetes.AuthorizationV1Api(self.api)
        review = await reviews.create_subject_access_review(
            {"spec": {"user": user, "resourceAttributes": attributes}}
        )
        allowed: bool = review.status.allowed
        return allowed


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    mark = uuid.uuid4().hex[:8]
    async with await new_client_from_config(os.environ["KUBECONFIG"]) as api:
        place = Place(api, f"kworkspace-test-{mark}", f"kworkspace-test-{mark}-ws")
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": place.namespace, "labels": labels}
        await place.core.create_namespace({"metadata": metadata})
        try:
            yield place
        finally:
            for name in (place.namespace, place.workspaces):
                if name in {one.metadata.name for one in (await place.core.list_namespace()).items}:
                    await place.core.delete_namespace(name)


async def test_installed_upgraded_uninstalled_and_installed_again(place: Place) -> None:
    """Secrets, the hub's volume and the homes' namespace stay, and are taken up again."""
    await place.helm(lambda helm: helm.install(chart(), RELEASE, place.values))
    before = await place.secrets()
    more = place.values | {"gateway": {"replicas": 2}}
    done = await place.helm(lambda helm: helm.upgrade(chart(), RELEASE, more))
    assert (done["status"], done["revision"]) == ("deployed", 2)
    assert await place.secrets() == before
    await place.helm(lambda helm: helm.uninstall(RELEASE))
    assert await place.secrets() == before
    assert await place.core.read_namespaced_persistent_volume_claim(
        "kworkspace-hub", place.namespace
    )
    kept = await place.core.read_namespace(place.workspaces)
    assert kept.metadata.deletion_timestamp is None
    await place.helm(lambda helm: helm.install(chart(), RELEASE, place.values))
    assert await place.secrets() == before


async def test_pods_and_rights(place: Place) -> None:
    """The pods are let in where `restricted` is enforced, and the hub may do what it has to."""
    await place.helm(lambda helm: helm.install(chart(), RELEASE, place.values))
    apps: Any = kubernetes.AppsV1Api(place.api)
    for deployment in (await apps.list_namespaced_deployment(place.namespace)).items:
        made = pod(place.api.sanitize_for_serialization(deployment))
        made["metadata"] |= {"name": "dry-run", "namespace": place.namespace}
        await place.core.create_namespaced_pod(place.namespace, made, dry_run="All")
    for right in RIGHTS:
        for verb in right.verbs:
            asked = (verb, right.kind.value.group, right.resource)
            assert await place.may(*asked, place.workspaces) is not right.everywhere, asked
            assert not await place.may(*asked, place.namespace), asked
    for verb in ("get", "list", "watch"):
        assert not await place.may(verb, "", "secrets", place.workspaces)
