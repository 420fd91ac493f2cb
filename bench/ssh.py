"""SSH by tunnel and by relay, beside a direct ssh into the same sshd, all in turns.

On a machine with fewer cores than processes (ssh, sshd, gateway, and the command of a tunnel) each
that is added takes time from the others: the gateway's CPU seconds say what a gigabyte costs in it.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median

from bench.kept import commands_over_kept
from bench.keystrokes import keystrokes
from bench.report import Figure, alternately, at_rate, percentile
from bench.sessions import Load, sessions_held
from bench.ssh_ways import Standing, kept, standing

MEGABYTES = 256
TRANSFERS, CONNECTS, PACED_CONNECTS = 5, 20, 100
ATTEMPTS = 30


def ssh(megabytes: int = MEGABYTES, load: Load = Load()) -> Iterator[Figure]:  # noqa: B008 frozen
    """Measure bulk, connects, keystrokes, commands over kept connections, and sessions held.

    Args:
        megabytes: (MiB) of each transfer.
        load: the sessions that are held.
    """
    size = megabytes << 20
    with standing() as one:
        yield from _bulk(one, size)
        yield from _connects(one)
        yield from keystrokes(one)
        yield from commands_over_kept(one)
        with standing(workers=2) as two:
            yield from _two_at_once(one, two, size)
    with standing() as fresh:
        yield from sessions_held(fresh, load)


def _bulk(one: Standing, size: int) -> Iterator[Figure]:
    """Over connections that are kept, so that nothing else is measured."""
    names = ("direct", "tunnel", "relay")
    with ExitStack() as stack:
        ways = {
            name: stack.enter_context(kept(getattr(one, name), one.folder / f"bulk-{name}"))
            for name in names
        }
        for name, work in (("download", _download), ("upload", _upload)):
            transfers = [_Transfer(one, work, ways[way], size) for way in names]
            times = alternately(TRANSFERS, *transfers)
            rates = [size / 1e6 / taken for taken in times]
            for way, rate, transfer, goal in zip(
                names[1:], rates[1:], transfers[1:], (0.9, 0.5), strict=True
            ):
                yield Figure(
                    f"ssh, {name} of {size >> 20} MiB by {way}",
                    rate,
                    "MB/s",
                    TRANSFERS,
                    goal=goal,
                    peer=rates[0],
                    peer_name="direct",
                    compare="ratio",
                    better="large",
                )
                yield Figure(
                    f"gateway's CPU per GB, {name} by {way}",
                    median(transfer.spent) / (size / 1e9),
                    "s",
                    TRANSFERS,
                )


class _Transfer:
    """Transfers, and keeps what CPU time that took of the gateway."""

    def __init__(
        self, one: Standing, work: Callable[[list[str], int], None], way: list[str], size: int
    ) -> None:
        self._one = one
        self._work = work
        self._way = way
        self._size = size
        self.spent: list[float] = []

    def __call__(self) -> None:
        before = self._one.cpu_seconds()
        self._work(self._way, self._size)
        self.spent.append(self._one.cpu_seconds() - before)


def _download(way: list[str], size: int) -> None:
    command = [*way, f"head -c {size} /dev/zero"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def _upload(way: list[str], size: int) -> None:
    source = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
    with source:
        subprocess.run([*way, "cat > /dev/null"], stdin=source.stdout, check=True)


def _connects(one: Standing) -> Iterator[Figure]:
    """One after the other, and then at half of the rate at which one after the other goes."""
    runs = [
        partial(subprocess.run, [*way, "true"], check=True)
        for way in (one.direct, one.tunnel, one.relay, one.jump)
    ]
    direct, tunnel, relay, jump = alternately(CONNECTS, *runs)
    for name, taken, beside, peer, goal in (
        ("tunnel", tunnel, "direct", direct, None),
        ("relay", relay, "direct", direct, 60),
        ("relay", relay, "ProxyJump", jump, 0),
    ):
        yield Figure(
            f"ssh ... true by {name}",
            taken * 1000,
            "ms",
            CONNECTS,
            goal=goal,
            peer=peer * 1000,
            peer_name=beside,
            compare="difference",
        )
    rate = 0.5 / max(direct, relay)
    times = [at_rate(runs[way], rate, PACED_CONNECTS) for way in (0, 2)]
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        peer, value = (percentile(taken, quantile) * 1000 for taken in times)
        yield Figure(
            f"ssh ... true by relay, {rate:.1f} a second, {name}",
            value,
            "ms",
            PACED_CONNECTS,
            peer=peer,
            peer_name="direct",
        )


def _two_at_once(one: Standing, two: Standing, size: int) -> Iterator[Figure]:
    """Two connections, on one worker and on two."""

    def transfer(ways: list[list[str]]) -> None:
        commands = [[*way, f"head -c {size} /dev/zero"] for way in ways]
        null = subprocess.DEVNULL
        running = [subprocess.Popen(command, stdin=null, stdout=null) for command in commands]
        ends = [process.wait() for process in running]
        if any(ends):
            raise RuntimeError("a transfer failed")

    with ExitStack() as stack:
        works = [
            partial(transfer, _on_workers(place, workers, stack))
            for place, workers in ((one, 1), (two, 2))
        ]
        on_one, on_two = alternately(TRANSFERS, *works)
    yield Figure(
        f"two downloads of {size >> 20} MiB at once by relay, 2 workers",
        2 * size / 1e6 / on_two,
        "MB/s",
        TRANSFERS,
        peer=2 * size / 1e6 / on_one,
        peer_name="1 worker",
        better="large",
    )


def _on_workers(place: Standing, workers: int, stack: ExitStack) -> list[list[str]]:
    """Return two kept connections, each on a worker of its own if there are two.

    The kernel chooses the worker: so connect until both have one.
    """
    ways: dict[str, list[str]] = {}
    for number in range(ATTEMPTS):
        way = stack.enter_context(kept(place.relay, place.folder / f"two-{number}"))
        subprocess.run([*way, "true"], check=True)  # then its session is known
        worker = place.hub.proofs[-1].gateway if workers > 1 else str(number)
        ways.setdefault(worker, way)
        if len(ways) == 2:
            return list(ways.values())
    raise RuntimeError("all connections went to one worker")
