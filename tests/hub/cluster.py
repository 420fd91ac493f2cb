"""Several real hubs on one Postgres and one data directory, behind a balancer of the test's own."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.processes import marked
from tests.conftest import RealHub
from tests.hub.clock import until
from tests.ports import free_port

CHUNK = 65536


class Balancer:
    """Hands each connection to the next hub; another one only when that one refuses it.

    Args:
        ports: of the hubs, on the loopback address.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ports = itertools.cycle(ports)
        self._count = len(ports)
        self._tasks = Tasks()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def aclose(self) -> None:
        """Cut all connections."""
        if self._server is not None:
            self._server.close()
        await self._tasks.aclose()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.spawn(self._carry(reader, writer), "a balanced connection")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for port in itertools.islice(self._ports, self._count):
                with suppress(ConnectionRefusedError):
                    theirs, ours = await asyncio.open_connection("127.0.0.1", port)
                    break
            else:
                return
            try:
                # A dead hub ends the connection for the client too.
                await _first(_copy(reader, ours), _copy(theirs, writer))
            finally:
                ours.transport.abort()
        finally:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Do these until one of them is done; what that one has written still goes out."""
    tasks = Tasks()
    try:
        await asyncio.wait(
            {tasks.spawn(work, "copy") for work in works}, return_when=asyncio.FIRST_COMPLETED
        )
        await asyncio.sleep(0.01)
    finally:
        await tasks.aclose()


@dataclass
class Replica:
    """One hub process of several."""

    real: RealHub
    number: int
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.real.directory / f"hub{self.number}.log"

    def launch(self, *options: str, **environment: str) -> None:
        """Start it and return at once."""
        config = str(self.real.directory / "hub_config.py")
        command = [sys.executable, "-m", "kworkspace.hub", "-f", config]
        command += [f"--Hub.bind_url={self.url}", *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended and return its exit status."""
        assert self.process is not None
        await until(lambda: self.process is not None and self.process.poll() is not None)
        return self.process.returncode

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.send(signal.SIGKILL)
        await self.wait()


@dataclass
class Cluster:
    """The hubs, and a client of theirs.

    Attributes:
        real: the files that they share.
        replicas: the hubs.
        balancer: in front of them.
        session: makes requests, each on a connection of its own.
    """

    real: RealHub
    replicas: list[Replica]
    balancer: Balancer
    session: aiohttp.ClientSession

    async def api(
        self, method: str, path: str, body: object = None, *, at: Replica | None = None
    ) -> tuple[int, Any]:
        """Make a call as the admin; return status and decoded body.

        Raises:
            aiohttp.ClientError: no whole answer came.
        """
        token = (self.real.data_dir / "admin_token").read_text().strip()
        url = self.balancer.url if at is None else at.url
        headers = {"Authorization": f"token {token}", "Connection": "close"}
        async with self.session.request(
            method, f"{url}/hub/api{path}", json=body, headers=headers
        ) as response:
            text = await response.read()
            return response.status, await response.json() if text else None

    async def ready(self, *replicas: Replica) -> None:
        """Wait until hubs take requests, and the gateway, if there is one, has reported itself."""
        for replica in replicas or self.replicas:
            async with asyncio.timeout(60):
                while not await self._is_ready(replica):
                    assert replica.process is not None
                    assert replica.process.poll() is None, replica.log.read_text()
                    await asyncio.sleep(0.05)

    async def _is_ready(self, replica: Replica) -> bool:
        with suppress(aiohttp.ClientError):
            async with self.session.get(f"{replica.url}/health/ready") as response:
                if response.status != 200:
                    return False
            if not self.real.gateway:
                return True
            return (await self.api("GET", "/", at=replica))[1]["ssh"] is not None
        return False

    def processes(self, server_id: str) -> list[int]:
        """Return the pids of the workspace processes of a server: one if it runs."""
        return [
            process.pid
            for process in marked(server_id)
            if b"kworkspace.spawners.local.server" in _command(process.pid)
        ]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@asynccontextmanager
async def cluster(
    make_hub: Callable[..., RealHub], db_url: str, *, hubs: int, extra: str = "", **options: Any
) -> AsyncIterator[Cluster]:
    """Make hubs, not started yet, and a balancer that is; all of it ends with the block."""
    ports = [free_port() for _ in range(hubs)]
    balancer = Balancer(ports)
    extra = f"c.Hub.hub_connect_url = {balancer.url!r}\n{extra}"
    real = make_hub(db_url=db_url, extra=extra, **options)
    real.url = balancer.url
    replicas = [Replica(real, number, port) for number, port in enumerate(ports)]
    limit = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=limit) as session:
        await balancer.start()
        try:
            yield Cluster(real, replicas, balancer, session)
        finally:
            await balancer.aclose()
            for replica in replicas:
                if replica.process is not None and replica.process.poll() is None:
                    await replica.kill()
