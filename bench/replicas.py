"""One and two hub processes on one Postgres: how much the second one adds on this machine."""

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import perf_counter

from bench.hubs import BenchHub, bench_hub, on_postgres
from bench.load import requests_per_second
from bench.report import Figure
from bench.scale import CONNECTIONS, PATHS, ROUNDS, SPAWNER, USERS

SECONDS = 3.0
CHANGING = 200  # users who start and stop


def hubs() -> Iterator[Figure]:
    """GET, and start and stop of workspaces that take no time, at one hub and at two."""
    with on_postgres(), bench_hub(users=USERS, lines=SPAWNER) as hub:
        hub.start()
        second = hub.start_another()
        ports = [hub.port, second]
        for name, unit_of_work in (("GET /hub/api/users/N", _gets), ("start and stop", _changes)):
            one, two = [], []
            for _ in range(ROUNDS):
                one.append(unit_of_work(hub, ports[:1]))
                two.append(unit_of_work(hub, ports))
            yield Figure(
                f"{name}, 2 hubs on Postgres",
                median(two),
                "1/s",
                ROUNDS,
                peer=median(one),
                peer_name="1 hub",
                compare="ratio",
                better="large",
            )


def _in_parallel(calls: Sequence[Callable[[], float]]) -> float:
    async def run() -> float:
        return sum(await asyncio.gather(*(asyncio.to_thread(call) for call in calls)))

    return asyncio.run(run())


def _gets(hub: BenchHub, ports: Sequence[int]) -> float:
    each = CONNECTIONS // len(ports)

    def load(port: int) -> float:
        return requests_per_second(port, PATHS, hub.admin_token, connections=each, seconds=SECONDS)

    return _in_parallel([lambda port=port: load(port) for port in ports])  # type: ignore[misc]


def _changes(hub: BenchHub, ports: Sequence[int]) -> float:
    """Start and stop many workspaces, each at one of the hubs; return the pairs per second."""
    token = hub.admin_token

    def work(number: int) -> float:
        port = ports[number % len(ports)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"token {token}"}
        done = 0
        for user in USERS[number:CHANGING:CONNECTIONS]:
            for method, wanted in (("POST", 201), ("DELETE", 204)):
                connection.request(method, f"/hub/api/users/{user}/server", headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != wanted:
                    raise RuntimeError(f"{method} {user}: {answer.status} {json.loads(body)}")
            done += 1
        connection.close()
        return done

    start = perf_counter()
    pairs = _in_parallel([lambda number=n: work(number) for n in range(CONNECTIONS)])  # type: ignore[misc]
    return pairs / (perf_counter() - start)
