"""Several hubs on one Postgres: what one of them was told is true of all, also when it dies."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.leases import LEASE_SECONDS
from tests.conftest import RealHub
from tests.echo import COMMAND, answers, open_echo
from tests.hub.cluster import Cluster, cluster
from tests.hub.conftest import ON_POSTGRES

MakeHub = Callable[..., RealHub]

OPERATIONS = int(os.environ.get("KWORKSPACE_KILL_OPERATIONS", "204"))
SEED = int(os.environ.get("KWORKSPACE_KILL_SEED", "1"))
WORKERS = 6
USERS_EACH = 4
MOST_ALIVE = 12
OPERATION_SECONDS = 15.0  # a start or a stop on a machine whose cores are busy
LONGEST_SECONDS = LEASE_SECONDS + OPERATION_SECONDS


@dataclass
class Numbers:
    """What the test has seen."""

    waits: list[tuple[float, str]] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def show(self) -> str:
        """Return it for a person."""
        seconds = sorted(wait for wait, _ in self.waits)
        longest = max(self.waits)
        return (
            f"{len(seconds)} operations, {self.kills} kills, longest wait {longest[0]:.1f} s"
            f" ({longest[1]}), median {seconds[len(seconds) // 2]:.1f} s; answers:"
            f" {dict(sorted(self.answers.items()))}"
        )


class Worker:
    """Starts and stops the workspaces of some users, and believes what it is told.

    Args:
        hubs: the hubs.
        numbers: what was seen.
        names: the users, nobody else's.
        chance: decides.
    """

    def __init__(
        self, hubs: Cluster, numbers: Numbers, names: list[str], chance: random.Random
    ) -> None:
        self._hubs = hubs
        self._numbers = numbers
        self._chance = chance
        self.runs = dict.fromkeys(names, False)

    async def work(self, operations: int) -> None:
        """Do that many operations."""
        for _ in range(operations):
            name = self._chance.choice(list(self.runs))
            began = time.monotonic()
            what, do = ("stop", self._stop) if self.runs[name] else ("start", self._start)
            async with asyncio.timeout(LONGEST_SECONDS):
                done = await do(name)
            self._numbers.waits.append((time.monotonic() - began, what if done else "refusal"))
            await self._check(name)
        for name in self.runs:  # others still need the room
            if self.runs[name]:
                await self._stop(name)

    async def _ask(self, method: str, name: str) -> tuple[int, Any, bool]:
        """Ask until somebody answers; return also whether an answer was lost before."""
        lost = False
        while True:
            try:
                status, body = await self._hubs.api(method, f"/users/{name}/server")
            except aiohttp.ClientError as error:
                self._numbers.answers[f"{method} {type(error).__name__}"] += 1
                lost = True
            else:
                self._numbers.answers[f"{method} {status}"] += 1
                if status != 503:
                    return status, body, lost
            await asyncio.sleep(0.1)

    async def _start(self, name: str) -> bool:
        status, body, lost = await self._ask("POST", name)
        if status == 429 and not lost:  # too many run; nothing has happened
            return False
        # Who did not hear the answer may be told that it runs, or that it took the last place.
        assert status in {201, 202} or (status in {400, 429} and lost), (name, status, body)
        server = await self._settled(name)
        self.runs[name] = server["ready"]
        assert server["ready"] or status == 429, (name, status, server)
        return self.runs[name]

    async def _stop(self, name: str) -> bool:
        status, body, _ = await self._ask("DELETE", name)
        assert status in {202, 204}, (name, status, body)
        if status == 202:
            assert (await self._settled(name))["stopped"]
        self.runs[name] = False
        return True

    async def _settled(self, name: str) -> dict[str, Any]:
        while True:
            status, body, _ = await self._ask("GET", name)
            if status == 404:  # they never had one
                return {"ready": False, "stopped": True}
            assert status == 200, (name, body)
            if body["pending"] is None:
                server: dict[str, Any] = body
                return server
            await asyncio.sleep(0.1)

    async def _check(self, name: str) -> None:
        """See that what was told is true: in the answers, and among the processes."""
        status, body, _ = await self._ask("GET", name)
        if status == 404:
            assert not self.runs[name]
            return
        assert (body["ready"], body["stopped"]) == (self.runs[name], not self.runs[name]), body
        assert len(self._hubs.processes(body["id"])) == self.runs[name], (name, body)


async def kill_at_random(hubs: Cluster, numbers: Numbers, chance: random.Random) -> None:
    """Kill a hub now and then, and start it again, for ever."""
    while True:
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        replica = chance.choice(hubs.replicas)
        await replica.kill()
        numbers.kills += 1
        await asyncio.sleep(chance.uniform(0.0, 2.0))
        replica.launch()
        if chance.random() < 0.7:
            await hubs.ready(replica)


@pytest.fixture
async def database_url(database: str) -> str:
    """Postgres."""
    return database


@ON_POSTGRES
async def test_hubs_are_killed_at_random(make_hub: MakeHub, database: str) -> None:
    """Every request ends as told, no server is lost or doubled, no session drops."""
    names = [f"user{number}" for number in range(WORKERS * USERS_EACH)]
    extra = f"""
c.SSHKeyAuthenticator.users.update({dict.fromkeys(names, ())!r})
c.Hub.active_server_limit = {MOST_ALIVE}
"""
    chance, numbers, tasks = random.Random(SEED), Numbers(), Tasks()
    async with cluster(make_hub, database, hubs=3, extra=extra, gateway=True) as hubs:
        for replica in hubs.replicas:
            replica.launch()
        await hubs.ready()
        line = await asyncio.to_thread(hubs.real.ssh, COMMAND)  # asks through the balancer
        session = await asyncio.to_thread(open_echo, line)
        gateways = hubs.real.gateways()
        workers = [
            Worker(hubs, numbers, names[index::WORKERS], random.Random(chance.random()))
            for index in range(WORKERS)
        ]
        killer = tasks.spawn(kill_at_random(hubs, numbers, chance), "kill hubs")
        try:
            async with asyncio.TaskGroup() as group:
                for worker in workers:
                    group.create_task(worker.work(OPERATIONS // WORKERS), name="start and stop")
            assert not killer.done(), killer.exception()
        finally:
            await tasks.aclose()
        print(f"\n{numbers.show()}")
        assert numbers.kills > 0
        assert await asyncio.to_thread(answers, session, "still here")
        session.kill()
        session.communicate()
        assert hubs.real.gateways() == gateways
        for replica in hubs.replicas:
            assert replica.process is not None
            if replica.process.poll() is not None:
                replica.launch()
        await hubs.ready()
        for replica in hubs.replicas:  # each of them has the whole truth
            status, users = await hubs.api("GET", "/users?limit=200", at=replica)
            assert status == 200
            runs = {
                user["name"] for user in users for one in user["servers"].values() if one["ready"]
            }
            assert runs == {hubs.real.user}
        assert len(hubs.real.workspaces()) == 1
