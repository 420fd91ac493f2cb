"""A hub with 1,000 users and 100 servers: start, memory, and how fast it tells of a user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import jupyterhub
from bench.hubs import BenchHub, bench_hub
from bench.load import requests_per_second
from bench.report import Figure
from bench.starting import resident_megabytes

USERS = [f"user-{number}" for number in range(1000)]
SERVERS = 100
STARTS = 5
CONNECTIONS = 16
SECONDS = 4.0
ROUNDS = 3
ROOT = Path(__file__).parent.parent
PATHS = [f"/hub/api/users/{user}" for user in USERS]

SPAWNER = f"""
import sys
sys.path.append({str(ROOT)!r})
from bench.null_spawner import NullSpawner
c.Hub.spawner_class = NullSpawner
"""


@contextmanager
def full_hub() -> Iterator[BenchHub]:
    """A hub whose database is full; it runs."""
    with bench_hub(users=USERS, lines=SPAWNER) as hub:
        hub.start()
        for user in USERS[:SERVERS]:
            hub.user_call("POST", f"/{user}/server")
        yield hub


def start_and_memory() -> Iterator[Figure]:
    """From the start of the process to ready, and its resident memory when it has been asked."""
    with full_hub() as hub:
        starts, sizes = [], []
        for _ in range(STARTS):
            hub.stop()
            starts.append(hub.start())
            requests_per_second(
                hub.port, PATHS, hub.admin_token, connections=CONNECTIONS, seconds=0.5
            )
            sizes.append(resident_megabytes(hub.pid))
        body = hub.user_call("GET", f"/{USERS[0]}")[1]
        if not body["servers"][""]["ready"]:
            raise RuntimeError("the servers are not there any more")
    yield Figure("hub of 1,000 users, start to ready", median(starts), "s", STARTS, goal=2)
    yield Figure("hub of 1,000 users, memory", median(sizes), "MB", STARTS, goal=130)


def requests() -> Iterator[Figure]:
    """GET /hub/api/users/N by token, in turns with JupyterHub."""
    version = jupyterhub.install()
    with full_hub() as hub, jupyterhub.jupyterhub(USERS) as peer:
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(ROUNDS):
            for rates, port, token in (
                (ours, hub.port, hub.admin_token),
                (theirs, peer.port, jupyterhub.TOKEN),
            ):
                rate = requests_per_second(
                    port, PATHS, token, connections=CONNECTIONS, seconds=SECONDS
                )
                rates.append(rate)
    yield Figure(
        f"GET /hub/api/users/N, {CONNECTIONS} connections",
        median(ours),
        "1/s",
        ROUNDS,
        goal=3,
        peer=median(theirs),
        peer_name=f"JupyterHub {version}",
        compare="ratio",
        better="large",
    )
