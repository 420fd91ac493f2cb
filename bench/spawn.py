"""Many workspaces started at once on Kubernetes: by a bare client, kworkspace and JupyterHub.

Each has an API server of its own, a process of the same code whose node makes pods ready after
2 s, so that none finds what another has left. Server, hub and client share this machine's CPUs:
what each of them computes per workspace is a figure of its own.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import jupyterhub
from bench.bare import bare_starts
from bench.hubs import bench_hub
from bench.jupyterhub import Peer
from bench.kube_server import NAMESPACE, KubeServer, kube_server
from bench.lag_probe import lags
from bench.report import Figure
from bench.starting import Burst, cpu_seconds, percentile, resident_megabytes, start_all

SIZES = (50, 200, 500, 2000)
MOST_OF_PEER = 200  # at 500 at once none of JupyterHub's starts succeeds
ROUNDS = {50: 3}  # else one
READY_AFTER = 2.0
ROOT = Path(__file__).parent.parent

OURS = """
import sys
sys.path.append({root!r})
from pathlib import Path
from bench import lag_probe
import kworkspace.hub.lag
kworkspace.hub.lag.watch = lambda *_: lag_probe.watch(Path({lag!r}))
c.Hub.spawner_class = "kworkspace.spawners.kube.KubeSpawner"
c.Hub.concurrent_spawn_limit = 0
c.Hub.slow_spawn_timeout = 600
c.KubeSpawner.kubeconfig = {kubeconfig!r}
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = "ubuntu:24.04"
c.KubeSpawner.storage_capacity = "1Gi"
"""

THEIRS = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.append({bench!r})
import lag_probe
from jupyterhub import __version__
from jupyterhub.objects import Server

class Probed(NoProxy):
    async def get_all_routes(self):
        if not hasattr(self, "_probe"):
            self._probe = asyncio.create_task(lag_probe.watch(Path({lag!r})))
        return self.routes

# The node's pods run nothing that would answer, so that its wait for that is left out.
async def wait_up(self, **_):
    return SimpleNamespace(headers={{"X-JupyterHub-Version": __version__}})

Server.wait_up = wait_up
c.JupyterHub.proxy_class = Probed
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.tornado_settings = {{"slow_spawn_timeout": 600}}
c.KubeSpawner.start_timeout = 300
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = "ubuntu:24.04"
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "1Gi"
c.KubeSpawner.volumes = [
    {{"name": "home", "persistentVolumeClaim": {{"claimName": "{{pvc_name}}"}}}}
]
c.KubeSpawner.volume_mounts = [{{"name": "home", "mountPath": "/home/jovyan"}}]
"""


@dataclass
class Round:
    """One burst, and what it cost.

    Attributes:
        burst: of starts.
        lags: seconds by which a timer of the hub's came late, every 10 ms.
        megabytes: of the hub, when all was ready.
        hub_cpu, server_cpu: seconds that hub and API server have computed.
    """

    burst: Burst
    lags: list[float]
    megabytes: float
    hub_cpu: float
    server_cpu: float


def spawn(sizes: Sequence[int] = SIZES) -> Iterator[Figure]:
    """All figures of each size."""
    version = _peer_version()
    for size in sizes:
        users = [f"user-{number}" for number in range(size)]
        with_peer = version is not None and size <= MOST_OF_PEER
        floors, ours, theirs = [], [], []
        for _ in range(ROUNDS.get(size, 1)):
            with kube_server(READY_AFTER) as server:
                floors.append(Burst(ready=bare_starts(server, users)))
            ours.append(_kworkspace(users))
            if with_peer:
                theirs.append(_jupyterhub(users))
        yield from _figures(size, floors, ours, theirs, f"JupyterHub {version}")


def _peer_version() -> str | None:
    """Return the version of JupyterHub in the bench's venv; None, and say so, if there is none."""
    try:
        jupyterhub.install("kubespawner")
        return jupyterhub.install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Without JupyterHub, which cannot be installed: {error}", file=sys.stderr)
        return None


def _kworkspace(users: list[str]) -> Round:
    with TemporaryDirectory(prefix="lag-bench-") as folder, kube_server(READY_AFTER) as server:
        lag = Path(folder) / "lag"
        lines = OURS.format(
            root=str(ROOT), lag=str(lag), kubeconfig=server.kubeconfig, namespace=NAMESPACE
        )
        with bench_hub(users=users, lines=lines) as hub:
            hub.start()
            return _round(server, lag, Peer(hub.port, hub.pid), users, hub.admin_token)


def _jupyterhub(users: list[str]) -> Round:
    with TemporaryDirectory(prefix="lag-bench-") as folder, kube_server(READY_AFTER) as server:
        lag = Path(folder) / "lag"
        lines = THEIRS.format(bench=str(ROOT / "bench"), lag=str(lag), namespace=NAMESPACE)
        with jupyterhub.jupyterhub(users, lines=lines, KUBECONFIG=server.kubeconfig) as peer:
            return _round(server, lag, peer, users, jupyterhub.TOKEN)


def _round(server: KubeServer, lag: Path, hub: Peer, users: list[str], token: str) -> Round:
    before = cpu_seconds(hub.pid), cpu_seconds(server.pid)
    burst = start_all(hub.port, users, token)
    hub_cpu, server_cpu = cpu_seconds(hub.pid) - before[0], cpu_seconds(server.pid) - before[1]
    megabytes = resident_megabytes(hub.pid)
    for failure in burst.failures[:3]:
        print(f"Failed: {failure}", file=sys.stderr)
    return Round(burst, lags(lag, burst.begun, burst.ended), megabytes, hub_cpu, server_cpu)


def _figures(
    size: int, floors: list[Burst], ours: list[Round], theirs: list[Round], peer_name: str
) -> Iterator[Figure]:
    """Yield the figures of one size; each is the median of its rounds."""
    name, rounds = f"{size} starts at once", len(ours)
    floor = _of(floors, 50)
    bursts, peers = [one.burst for one in ours], [one.burst for one in theirs]
    rate = median(burst.rate for burst in bursts)
    if theirs:
        yield Figure(
            f"{name}, rate",
            rate,
            "1/s",
            rounds,
            goal=3,
            peer=median(burst.rate for burst in peers),
            peer_name=peer_name,
            compare="ratio",
            better="large",
        )
    yield Figure(
        f"{name}, rate",
        rate,
        "1/s",
        rounds,
        peer=median(burst.rate for burst in floors),
        peer_name="bare client",
        better="large",
    )
    yield Figure(f"{name}", max(len(one.failures) for one in bursts), "failed", rounds, goal=0)
    yield Figure(
        f"{name}, p50",
        _of(bursts, 50) * 1000,
        "ms",
        rounds,
        goal=50 if size == min(SIZES) else None,
        peer=floor * 1000,
        peer_name="bare client",
        compare="difference",
    )
    yield Figure(
        f"{name}, p99",
        _of(bursts, 99) * 1000,
        "ms",
        rounds,
        peer=_of(floors, 99) * 1000,
        peer_name="bare client",
        compare="difference",
    )
    yield Figure(
        f"{name}, lag of the event loop, p99",
        median(percentile(one.lags, 99) for one in ours) * 1000,
        "ms",
        rounds,
        goal=50,
    )
    yield Figure(f"{name}, memory", median(one.megabytes for one in ours), "MB", rounds)
    for what, seconds in (
        ("hub", [one.hub_cpu for one in ours]),
        ("API server", [one.server_cpu for one in ours]),
    ):
        cost = median(seconds) / size * 1000
        yield Figure(f"{name}, CPU of the {what} for each", cost, "ms", rounds)
    if theirs:
        yield from _peer_figures(name, theirs, peer_name)


def _peer_figures(name: str, theirs: list[Round], peer_name: str) -> Iterator[Figure]:
    rounds, bursts = len(theirs), [one.burst for one in theirs]
    name = f"{name}, {peer_name}"
    yield Figure(name, max(len(one.failures) for one in bursts), "failed", rounds)
    for percent in (50, 99):
        yield Figure(f"{name}, p{percent}", _of(bursts, percent) * 1000, "ms", rounds)
    lag = median(percentile(one.lags, 99) for one in theirs)
    yield Figure(f"{name}, lag of the event loop, p99", lag * 1000, "ms", rounds)
    yield Figure(f"{name}, memory", median(one.megabytes for one in theirs), "MB", rounds)


def _of(bursts: Sequence[Burst], percent: float) -> float:
    return median(percentile(burst.ready, percent) for burst in bursts)
