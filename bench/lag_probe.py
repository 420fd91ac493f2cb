"""Writes down how late a timer of an event loop comes: `watch` runs within a hub.

It imports nothing of ours, since JupyterHub, too, loads it from its configuration.
"""

import asyncio
import time
from pathlib import Path

PERIOD = 0.01


async def watch(file: Path) -> None:
    """Append lines of (monotonic seconds, seconds late) for ever."""
    loop = asyncio.get_running_loop()
    with file.open("w", buffering=1) as out:
        while True:
            due = loop.time() + PERIOD
            await asyncio.sleep(PERIOD)
            now = loop.time()
            out.write(f"{time.monotonic():.6f} {max(0.0, now - due):.6f}\n")


def lags(file: Path, begun: float, ended: float) -> list[float]:
    """Return what was written between two moments of `time.monotonic()`."""
    # Its last line may be half written.
    pairs = (line.split() for line in file.read_text().rpartition("\n")[0].splitlines())
    return [float(late) for at, late in pairs if begun <= float(at) <= ended]
