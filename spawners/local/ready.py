"""The pipe on which a workspace's process tells how its start went."""

import asyncio
import os

from kworkspace.spawners.local.state import READY

__all__ = ["READY", "read_outcome"]

_MAX_BYTES = 65536


async def read_outcome(fd: int) -> str:
    """Read the one line of a start's outcome and close the pipe.

    Returns:
        READY, or what went wrong, or "" when the process ended without a word.
    """
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    readable = asyncio.Event()
    loop.add_reader(fd, readable.set)
    received = b""
    try:
        while not received.endswith(b"\n") and len(received) < _MAX_BYTES:
            await readable.wait()
            readable.clear()
            try:
                chunk = os.read(fd, 4096)
            except BlockingIOError:
                continue
            if not chunk:
                break
            received += chunk
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return received.decode(errors="replace").strip()
