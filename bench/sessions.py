"""Sessions held at a rate, all on one gateway process: who is lost, what each costs.

The clients are OpenSSH's. What their sessions print comes from this process over a socket, so that
neither end takes much of the CPUs that they all share.
"""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from bench.report import Figure
from bench.ssh_ways import LONG_LOGIN_SECONDS, Standing

CONNECTING_AT_ONCE = 4
TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Load:
    """How much.

    Attributes:
        sessions: how many.
        rate: KB (1000 bytes) a second that each prints.
        seconds: how long.
    """

    sessions: int = 50
    rate: int = 40
    seconds: float = 10.0


def sessions_held(one: Standing, load: Load) -> Iterator[Figure]:
    """Hold them."""
    held = asyncio.run(_Holding(one, load).run())
    name = f"{load.sessions} sessions at {load.rate} KB/s for {load.seconds:g} s"
    yield Figure(f"{name}: lost", held.lost, "failed", load.sessions, goal=0)
    yield Figure(
        f"{name}: delivered",
        held.delivered,
        "MB/s",
        load.sessions,
        peer=load.sessions * load.rate / 1000,
        peer_name="asked for",
        better="large",
    )
    yield Figure(f"{name}: gateway's memory for each", held.kb, "kB", load.sessions)
    yield Figure(f"{name}: gateway's CPU", held.cores, "cores", load.sessions)


class _Client(asyncio.SubprocessProtocol):
    """An ssh."""

    def __init__(self) -> None:
        self.read = 0
        self.ended = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.read += len(data)

    def process_exited(self) -> None:
        self.ended.set()


@dataclass
class _Held:
    lost: int
    delivered: float
    kb: float
    cores: float


class _Holding:
    def __init__(self, one: Standing, load: Load) -> None:
        self._one = one
        self._load = load
        self._came: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self._room = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._sources: list[asyncio.StreamWriter] = []

    async def run(self) -> _Held:
        """Connect them all, have all of them print, and end them."""
        subprocess.run([*self._one.relay, "true"], check=True)  # what the first one loads
        empty = self._one.rss_kb()
        clients: list[tuple[asyncio.SubprocessTransport, _Client]] = []
        async with await asyncio.start_server(
            lambda _, writer: self._came.put_nowait(writer), "127.0.0.1", backlog=512
        ) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                async with asyncio.TaskGroup() as group:
                    connecting = [
                        group.create_task(self._connect(port)) for _ in range(self._load.sessions)
                    ]
                clients = [task.result() for task in connecting]
                return await self._hold([client for _, client in clients], empty)
            finally:
                for transport, client in clients:
                    transport.close()
                    await client.ended.wait()
                for source in self._sources:
                    source.close()

    async def _connect(self, port: int) -> tuple[asyncio.SubprocessTransport, _Client]:
        source = f"exec bash -c 'exec cat < /dev/tcp/127.0.0.1/{port}'"
        async with self._room, asyncio.timeout(LONG_LOGIN_SECONDS):
            loop = asyncio.get_running_loop()
            client = await loop.subprocess_exec(
                _Client, *self._one.relay, source, stdin=subprocess.DEVNULL, stderr=None
            )
            self._sources.append(await self._came.get())
            return client

    async def _hold(self, clients: list[_Client], empty: float) -> _Held:
        loop = asyncio.get_running_loop()
        piece = bytes(int(self._load.rate * 1000 * TICK_SECONDS))
        cpu, start = self._one.cpu_seconds(), loop.time()
        tick = start
        while tick < start + self._load.seconds:
            for source in self._sources:
                source.write(piece)
            tick += TICK_SECONDS
            await asyncio.sleep(tick - loop.time())
        passed = loop.time() - start
        return _Held(
            lost=sum(client.ended.is_set() for client in clients),
            delivered=sum(client.read for client in clients) / 1e6 / passed,
            kb=(self._one.rss_kb() - empty) / len(clients),
            cores=(self._one.cpu_seconds() - cpu) / passed,
        )
