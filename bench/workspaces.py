"""Start to ready of a local workspace, and what the gateway adds to a warm `ssh ... true`."""

import subprocess
from collections.abc import Iterator
from functools import partial
from statistics import median

from bench.hubs import bench_hub
from bench.report import Figure, alternately, measure

STARTS = 20
CONNECTS = 20


def start_to_ready() -> Iterator[Figure]:
    """POST until 201: a first start, which makes the home, and a later one."""
    names = [f"user-{number}" for number in range(STARTS)]
    with bench_hub(users=names) as hub:
        hub.start()
        first: list[float] = []
        again: list[float] = []
        for taken in (first, again):
            for name in names:
                start = partial(hub.user_call, "POST", f"/{name}/server")
                taken.append(measure(start))
                hub.user_call("DELETE", f"/{name}/server")
    yield Figure("workspace, first start to ready", median(first), "s", STARTS, goal=1.0)
    yield Figure("workspace, next start to ready", median(again), "s", STARTS, goal=1.0)


def warm_connect() -> Iterator[Figure]:
    """The whole of `ssh ... true`, through the gateway and straight into the same workspace."""
    with bench_hub(users=["alice"], gateway=True) as hub:
        hub.start()
        through = hub.ssh("alice")
        said = subprocess.run(
            [*through, "whoami; echo $SSH_CONNECTION"], capture_output=True, text=True, check=True
        )
        account, *connection = said.stdout.split()
        direct = hub.ssh(account, port=int(connection[3]))
        gateway_time, direct_time = alternately(
            CONNECTS,
            lambda: subprocess.run([*through, "true"], check=True),
            lambda: subprocess.run([*direct, "true"], check=True),
        )
    yield Figure(
        "ssh ... true through the gateway",
        gateway_time * 1000,
        "ms",
        CONNECTS,
        goal=60,
        peer=direct_time * 1000,
        peer_name="direct",
        compare="difference",
    )
