"""A cheap cluster and an admin's client, for the server's own tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kube_api.clients import Client, client_of
from tests.kube_api.cluster import Cluster, serve


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serve(tmp_path, cheap=0.0, pace=0.01) as served:
        yield served


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with client_of(cluster) as found:
        yield found
