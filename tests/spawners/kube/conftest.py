"""A cluster, and clients of ours to it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from tests.kube_api.cluster import Cluster, serve

if TYPE_CHECKING:
    from tests.spawners.kube.box import Box
    from tests.spawners.kube.house import House


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs a real cluster, all of it in one line, where none is named."""
    real = [item for item in items if item.get_closest_marker("cluster")]
    if real and "KUBECONFIG" not in os.environ:
        real[0].add_marker(pytest.mark.skip(reason="KUBECONFIG is not set"))
        config.hook.pytest_deselected(items=real[1:])
        items[:] = [item for item in items if item not in real[1:]]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster whose pods are ready at once."""
    async with serve(tmp_path, cheap=0.0, pace=0.01) as served:
        yield served


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeClient]:
    """A client with an admin's rights."""
    async with await KubeClient.open(Connection(kubeconfig=str(cluster.kubeconfig))) as opened:
        yield opened


@pytest.fixture
async def house(cluster: Cluster, tmp_path: Path) -> AsyncIterator["House"]:
    """A cluster to open spawners on."""
    from tests.spawners.kube.house import House  # noqa: PLC0415  # others need no spawner

    house = House(cluster, tmp_path)
    yield house
    await house.aclose()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator["Box"]:
    """A container in which the bootstrap runs for real."""
    from tests.spawners.kube.box import Box  # noqa: PLC0415  # others need no spawner

    async with serve(tmp_path / "cluster", pace=0.02) as served:
        yield Box(served, tmp_path)
