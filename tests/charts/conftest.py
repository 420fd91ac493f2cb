"""A test cluster whose `hub` namespace enforces `restricted`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.charts.helm import NAMESPACE
from tests.kube_api.cluster import Cluster, serve


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    # Helm sends its token over TLS alone.
    async with serve(tmp_path, cheap=0.0, pace=0.01, is_tls=True) as served:
        served.add_namespace(NAMESPACE, pod_security="restricted")
        yield served
