"""Starts many workspaces at once through REST, as JupyterHub and kworkspace both take it."""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

OPENING = 64  # connections that are opened at once, before the clock runs
ANSWER_SECONDS = 600.0
CREATED = 201


@dataclass
class Burst:
    """What came of it.

    Attributes:
        begun, ended: by `time.monotonic()`.
        ready: seconds until each start that went well was answered.
        failures: what the others were answered.
    """

    begun: float = 0.0
    ended: float = 0.0
    ready: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Workspaces per second, from the first request to the last that became ready."""
        return len(self.ready) / max(self.ready) if self.ready else 0.0


def start_all(port: int, users: Sequence[str], token: str) -> Burst:
    """POST /hub/api/users/N/server for all at the same moment; each answer comes when it is ready.

    Args:
        port: of 127.0.0.1.
        users: whose.
        token: of an admin.
    """
    return asyncio.run(_start_all(port, users, token))


async def _start_all(port: int, users: Sequence[str], token: str) -> Burst:
    turn = asyncio.Semaphore(OPENING)
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open_one() -> None:
        async with turn:
            opened.append(await asyncio.open_connection("127.0.0.1", port))

    await asyncio.gather(*(open_one() for _ in users))
    burst = Burst(begun=time.monotonic())
    try:
        await asyncio.gather(
            *(
                _start(burst, reader, writer, user, token)
                for user, (reader, writer) in zip(users, opened, strict=True)
            )
        )
    finally:
        burst.ended = time.monotonic()
        for _, writer in opened:
            writer.close()
    return burst


async def _start(
    burst: Burst,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    user: str,
    token: str,
) -> None:
    writer.write(
        f"POST /hub/api/users/{user}/server HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: token {token}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (TimeoutError, OSError, EOFError) as error:
        burst.failures.append(f"{user}: {type(error).__name__}")
        return
    if int(head.split(b" ", 2)[1]) == CREATED:
        burst.ready.append(time.monotonic() - burst.begun)
    else:
        burst.failures.append(f"{user}: {head.splitlines()[0].decode()}")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values do not exceed; of none, infinity."""
    if not values:
        return float("inf")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
