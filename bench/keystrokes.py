"""What a way adds to the echo of a key: a terminal in which `cat` answers, typed at steadily."""

import os
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter, sleep

from bench.report import Figure, percentile
from bench.ssh_ways import Standing

KEYS = 300
PAUSE_SECONDS = 0.02
ANSWER_SECONDS = 20.0
RAW_CAT = "stty raw -echo; printf !; exec cat"
# Newer clients send what is typed at fixed times, so that nobody can measure who types.
AS_TYPED = ("-o", "IgnoreUnknown=ObscureKeystrokeTiming", "-o", "ObscureKeystrokeTiming=no")


def keystrokes(one: Standing) -> Iterator[Figure]:
    """Type into three terminals in turns."""
    with ExitStack() as stack:
        ways = (one.direct, one.tunnel, one.relay)
        terminals = [stack.enter_context(_terminal(way)) for way in ways]
        times: list[list[float]] = [[] for _ in terminals]
        for _ in range(KEYS):
            for terminal, taken in zip(terminals, times, strict=True):
                sleep(PAUSE_SECONDS)
                taken.append(_type(*terminal))
    direct = times[0]
    for name, taken in zip(("tunnel", "relay"), times[1:], strict=True):
        for label, quantile, goal in (("p50", 0.5, 1.0), ("p99", 0.99, None)):
            yield Figure(
                f"echo of a key by {name}, {label}",
                percentile(taken, quantile) * 1000,
                "ms",
                KEYS,
                goal=goal,
                peer=percentile(direct, quantile) * 1000,
                peer_name="direct",
                compare="difference",
            )


@contextmanager
def _terminal(way: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield where to write keys, and where their echo is read."""
    *options, host = way
    command = [*options, *AS_TYPED, "-tt", host, RAW_CAT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as ssh:
        assert ssh.stdin is not None
        assert ssh.stdout is not None
        try:
            _answer(ssh.stdout.fileno())
            yield ssh.stdin.fileno(), ssh.stdout.fileno()
        finally:
            ssh.kill()


def _type(keys: int, echo: int) -> float:
    start = perf_counter()
    os.write(keys, b"x")
    _answer(echo)
    return perf_counter() - start


def _answer(echo: int) -> None:
    ready, _, _ = select.select([echo], [], [], ANSWER_SECONDS)
    if not ready or len(os.read(echo, 100)) != 1:
        raise RuntimeError("a terminal does not echo")
