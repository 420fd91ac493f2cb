"""One run of one container: what the pod's worker needs of it, and the scripted kind.

The real kind, processes of this machine, is in `process.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from tests.kube_api.api.statuses import internal
from tests.kube_api.api.streams import STDERR, STDOUT, Execution
from tests.kube_api.node.images import Image, Program
from tests.kube_api.node.logs import Log


@dataclass(frozen=True)
class End:
    """How a run ended."""

    code: int
    reason: str = ""
    message: str = ""


class Run(Protocol):
    """One run of a container.

    Attributes:
        ended: resolved when it has ended, however that came.
        log: what it writes.
    """

    ended: "asyncio.Future[End]"
    log: Log

    async def start(self) -> None:
        """Begin.

        Raises:
            CannotStart: it cannot.
        """

    async def probe(self) -> str:
        """Return "" when it is ready now, else what the probe found."""

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""

    def kill(self) -> None:
        """End it (SIGKILL)."""

    def end(self, end: End) -> None:
        """End it, and let it have ended like this."""

    async def exec(self, argv: list[str], *, tty: bool) -> Execution:
        """Start a program in it."""

    async def aclose(self) -> None:
        """End it and let go of what it held."""


class CannotStart(Exception):
    """A container cannot be started: the runtime's words."""


class ScriptedRun:
    """A run that only pretends, as its image's script says."""

    def __init__(self, image: Image) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[End] = self._loop.create_future()
        self.log = Log(*image.log)
        self._image = image
        self._timers: list[asyncio.TimerHandle] = []
        self._ready_at = self._loop.time()

    async def start(self) -> None:
        """Begin; it may end by itself later."""
        image = self._image
        self._ready_at = self._loop.time() + (image.ready_after or 0.0)
        if image.exit_code is not None:
            self._later(image.runs_for, End(image.exit_code, image.exit_reason))

    @property
    def seconds_to_ready(self) -> float | None:
        """How long until it is ready, None for never."""
        if self._image.ready_after is None:
            return None
        return max(0.0, self._ready_at - self._loop.time())

    async def probe(self) -> str:
        """Whether the script says that it is ready."""
        return "" if self.seconds_to_ready == 0.0 else "dial tcp: connect: connection refused"

    def _later(self, seconds: float, end: End) -> None:
        if seconds <= 0:
            self.end(end)
        else:
            self._timers.append(self._loop.call_later(seconds, self.end, end))

    def end(self, end: End) -> None:
        """End it now."""
        if not self.ended.done():
            self.ended.set_result(end)
            self.log.close()

    def terminate(self) -> None:
        """End as the script says, or not at all."""
        if not self._image.ignores_sigterm:
            self._later(self._image.stop_seconds, End(self._image.stop_code))

    def kill(self) -> None:
        """End at once."""
        self.end(End(137))

    async def exec(self, argv: list[str], *, tty: bool) -> Execution:
        """Let the script answer."""
        if self._image.exec is None:
            raise internal(f'exec: "{argv[0]}": executable file not found in $PATH')
        return ScriptedExecution(self._image.exec, argv)

    async def aclose(self) -> None:
        """Forget the timers."""
        for timer in self._timers:
            timer.cancel()
        self.kill()


class ScriptedExecution:
    """An exec that a function answers when all of stdin is there."""

    def __init__(self, program: Program, argv: list[str]) -> None:
        self._program = program
        self._argv = argv
        self._stdin = bytearray()
        self._closed = asyncio.Event()
        self._code = 0

    async def write(self, chunk: bytes) -> None:
        """Collect input."""
        self._stdin += chunk

    async def close_stdin(self) -> None:
        """Begin."""
        self._closed.set()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield what the function returned."""
        await self._closed.wait()
        self._code, out, err = self._program(self._argv, bytes(self._stdin))
        if out:
            yield STDOUT, out
        if err:
            yield STDERR, err

    async def wait(self) -> int:
        """Return the function's exit code."""
        return self._code

    async def aclose(self) -> None:
        """Nothing is held."""
