"""After an API server was away: how long until what the hub says of workspaces is true again.

What is untrue meanwhile: pods are deleted behind its back while it cannot see that. The seconds
count from when it could, until REST says of all those workspaces that they do not run.
"""

import time
from collections.abc import Iterator, Sequence
from functools import partial

from bench.hubs import BenchHub, bench_hub
from bench.kube_server import NAMESPACE, KubeServer, kube_server
from bench.report import Figure
from bench.starting import start_all

AWAY_SECONDS = 60.0
RUNNING = 50
ENDED = 5  # each time
REPEATS = 6  # of the server's 410
GOAL = 2.0
GIVE_UP_SECONDS = 60.0

HUB = """
c.Hub.spawner_class = "kworkspace.spawners.kube.KubeSpawner"
c.Hub.concurrent_spawn_limit = 0
c.KubeSpawner.kubeconfig = {kubeconfig!r}
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = "ubuntu:24.04"
c.KubeSpawner.storage_capacity = "1Gi"
"""


def recovery(away: float = AWAY_SECONDS) -> Iterator[Figure]:
    """A watch that is cut, versions that are too old, and an API server that is gone.

    Args:
        away: the seconds for which it is gone.
    """
    users = [f"user-{number}" for number in range(RUNNING)]
    with kube_server(0.0) as server:
        lines = HUB.format(kubeconfig=server.kubeconfig, namespace=NAMESPACE)
        with bench_hub(users=users, lines=lines) as hub:
            hub.start()
            burst = start_all(hub.port, users, hub.admin_token)
            if burst.failures:
                raise RuntimeError(burst.failures[0])
            for name, happen in (
                ("watches cut", partial(_cut, server)),
                (f"{REPEATS} times 410", partial(_expire, server)),
                (f"API server gone for {away:g} s", partial(_away, server, away)),
            ):
                ended, users = users[:ENDED], users[ENDED:]
                happen(ended)
                taken = _until_told(hub, ended)
                yield Figure(f"true again, {name}", taken, "s", 1, goal=GOAL)
            _check_others(hub, users)


def _cut(server: KubeServer, ended: Sequence[str]) -> None:
    server.tell("cut")
    _end(server, ended)


def _expire(server: KubeServer, ended: Sequence[str]) -> None:
    server.tell("expire", str(REPEATS))
    _end(server, ended)


def _away(server: KubeServer, away: float, ended: Sequence[str]) -> None:
    server.tell("down")
    _end(server, ended)
    time.sleep(away)
    server.tell("up")


def _end(server: KubeServer, users: Sequence[str]) -> None:
    server.tell("end", *(f"workspace-{user}" for user in users))


def _until_told(hub: BenchHub, users: Sequence[str]) -> float:
    """Return the seconds until the hub says of none of them that it runs."""
    begun = time.monotonic()
    for user in users:
        while _runs(hub, user):
            if time.monotonic() - begun > GIVE_UP_SECONDS:
                raise RuntimeError(f"the hub still says that {user}'s workspace runs")
            time.sleep(0.01)
    return time.monotonic() - begun


def _check_others(hub: BenchHub, users: Sequence[str]) -> None:
    for user in users:
        if not _runs(hub, user):
            raise RuntimeError(f"the hub says that {user}'s workspace does not run, and it does")


def _runs(hub: BenchHub, user: str) -> bool:
    servers = hub.user_call("GET", f"/{user}")[1]["servers"]
    return bool(servers[""]["ready"])
