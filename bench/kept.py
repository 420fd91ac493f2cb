"""Commands over connections that stay open (ControlMaster), by many clients at once."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.report import Figure, measure, percentile
from bench.ssh_ways import Standing, kept

CLIENTS, COMMANDS = 20, 100


def commands_over_kept(one: Standing) -> Iterator[Figure]:
    """Each client one command after the other."""
    direct, failed_direct = _all(one, "direct")
    relay, failed = _all(one, "relay")
    name = f"{CLIENTS} clients x {COMMANDS} commands over kept connections by relay"
    number = CLIENTS * COMMANDS
    yield Figure(
        name, failed, "failed", number, goal=0, peer=failed_direct or None, peer_name="direct"
    )
    for label, quantile in (("p50", 0.5), ("p99", 0.99)):
        yield Figure(
            f"{name}, {label}",
            percentile(relay, quantile) * 1000,
            "ms",
            number,
            peer=percentile(direct, quantile) * 1000,
            peer_name="direct",
        )


def _all(one: Standing, name: str) -> tuple[list[float], int]:
    """Return how long each command took, and how many failed."""
    way: list[str] = getattr(one, name)
    with ExitStack() as stack, ThreadPoolExecutor(CLIENTS) as pool:
        ways = [
            stack.enter_context(kept(way, one.folder / f"{name}-{number}"))
            for number in range(CLIENTS)
        ]
        results = [result for client in pool.map(_commands, ways) for result in client]
    return [taken for taken, _ in results], sum(not good for _, good in results)


def _commands(way: list[str]) -> list[tuple[float, bool]]:
    results = []
    for number in range(COMMANDS):
        outputs: list[bytes] = []

        def run(number: int = number, outputs: list[bytes] = outputs) -> None:
            command = [*way, f"echo {number}"]
            outputs.append(subprocess.run(command, capture_output=True, check=False).stdout)

        taken = measure(run)
        results.append((taken, outputs == [f"{number}\n".encode()]))
    return results
