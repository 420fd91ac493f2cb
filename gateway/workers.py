"""Several gateway processes on one port: `--workers N`, for more cores than one.

A small parent reserves the port, starts the workers, starts one again that died, and hands SIGTERM
on. The kernel spreads connections over the workers (SO_REUSEPORT); each is a gateway of its own to
the hub. A worker ends when its parent has, however that came: it reads the end of a pipe.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import ExitStack

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.config import WORKER, Settings
from kworkspace.gateway.host_key import load_or_make
from kworkspace.gateway.hub import backoff

log = logging.getLogger(__name__)

LONGEST_SECONDS = 30.0
STEADY_SECONDS = 60.0


async def run_workers(settings: Settings, argv: Sequence[str]) -> int:
    """Run the workers until SIGTERM; return the exit status.

    Args:
        settings: what `argv` and the environment say.
        argv: the arguments that the workers get too.

    Raises:
        KworkspaceError: the port is taken, or there is no host key to be had.
    """
    load_or_make(settings.host_key)  # made once, and not by each worker
    with ExitStack() as reserved:

        def taken(flag: str, host: str, port: int) -> list[str]:
            shared = reserved.enter_context(reserve(host, port, flag))
            port = shared.getsockname()[1]
            return [flag, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]

        more = taken("--listen", settings.listen_host, settings.listen_port)
        if settings.tunnel_listen is not None:
            more += taken("--tunnel-listen", *settings.tunnel_listen)
        for flag, limit in (
            ("--max-strangers", settings.limits.strangers),
            ("--max-strangers-per-address", settings.limits.strangers_per_address),
        ):
            more += [flag, str(-(-limit // settings.workers))]
        command = [sys.executable, "-m", "kworkspace.gateway", *argv, *more, "--workers", "1"]
        return await _Parent(command, settings.workers).run()


def reserve(host: str, port: int, flag: str = "--listen") -> socket.socket:
    """Take a port for processes that share it, and that nobody else has.

    Args:
        host: the address.
        port: 0 takes a free one.
        flag: what says so.

    Raises:
        KworkspaceError: somebody listens there.
    """
    try:
        (family, kind, proto, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # What does not ask to share sees others that do, such as another gateway's workers.
        with _socket(family, kind, proto) as alone:
            alone.bind(address)
            address = alone.getsockname()
        shared = _socket(family, kind, proto)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(address)
    except OSError as error:
        raise KworkspaceError(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. Choose another"
            f" address with {flag}."
        ) from error
    return shared


def _socket(family: int, kind: int, proto: int) -> socket.socket:
    """Return a socket as asyncio makes it for a server."""
    made = socket.socket(family, kind, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


class _Parent:
    """The parent of the workers.

    Args:
        command: what starts one.
        number: how many there are.
    """

    def __init__(self, command: Sequence[str], number: int) -> None:
        self._command = command
        self._number = number
        self._alive: set[Process] = set()
        self._stop = asyncio.Event()
        self._tasks = Tasks()
        self._status = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._end)
        kept = [
            self._tasks.spawn(self._keep(number), f"worker {number}")
            for number in range(1, self._number + 1)
        ]
        await asyncio.gather(*kept)
        return self._status

    def _end(self) -> None:
        """Hand the signal on; a second one too, at which they end at once."""
        self._stop.set()
        for process in self._alive:
            if process.returncode is None:
                process.terminate()

    async def _keep(self, number: int) -> None:
        """Run a worker, and another one when it died."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stop.is_set():
            began = loop.time()
            status = await self._run_once()
            if self._stop.is_set():
                return
            if loop.time() - began > STEADY_SECONDS:
                failures = 0
            elif failures == 0 and status > 0:
                # It has said why it cannot start; another one could not either.
                self._status = status
                self._end()
                return
            log.error("Worker %d ended with status %d; it is started again", number, status)
            try:
                async with asyncio.timeout(backoff(failures, LONGEST_SECONDS)):
                    await self._stop.wait()
            except TimeoutError:
                failures += 1

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,  # its end tells the worker that this process has ended
            env={**os.environ, WORKER: "1"},
            process_group=0,  # a terminal's Ctrl-C is for the parent, which hands it on
        )
        self._alive.add(process)
        if self._stop.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            self._alive.discard(process)
