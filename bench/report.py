"""A measured figure, and the table and JSON of all of them."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        value: the median, in `unit`.
        unit: ms, s, kB, MB, MB/s, 1/s, cores of CPU, or failed: a number of failures.
        goal: the limit, in the same unit; None for a figure that is only kept.
        peer: the median of what it is compared with, in the same run.
        peer_name: what that is.
        compare: what the goal is about: the value, or value minus peer, or value over peer.
        better: whether small or large values are.
        samples: how many were measured.
    """

    name: str
    value: float
    unit: Literal["ms", "s", "kB", "MB", "MB/s", "1/s", "cores", "failed"]
    samples: int
    goal: float | None = None
    peer: float | None = None
    peer_name: str = ""
    compare: Literal["value", "difference", "ratio"] = "value"
    better: Literal["small", "large"] = "small"

    @property
    def compared(self) -> float:
        """The number that the goal is about."""
        if self.peer is None or self.compare == "value":
            return self.value
        return self.value - self.peer if self.compare == "difference" else self.value / self.peer

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None without one."""
        if self.goal is None:
            return None
        small = self.better == "small"
        return self.compared <= self.goal if small else self.compared >= self.goal

    def row(self) -> list[str]:
        """The cells of its line."""
        peer = "" if self.peer is None else f"{_number(self.peer)} {self.unit}  {self.peer_name}"
        ratio = "" if self.peer is None else f"{self.value / self.peer:.2f}"
        sign = "<=" if self.better == "small" else ">="
        unit = {"value": self.unit, "difference": f"{self.unit} more", "ratio": "times"}
        goal = "" if self.goal is None else f"{sign} {self.goal:g} {unit[self.compare]}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        value = f"{_number(self.value)} {self.unit}"
        return [self.name, value, peer, ratio, goal, verdict, str(self.samples)]


def measure(work: Callable[[], object]) -> float:
    """Return the seconds that it took."""
    start = perf_counter()
    work()
    return perf_counter() - start


def alternately(samples: int, *works: Callable[[], object]) -> list[float]:
    """Return the median seconds of each, measured in turns, so that all see the same machine."""
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(samples):
        for work, taken in zip(works, times, strict=True):
            taken.append(measure(work))
    return [median(taken) for taken in times]


def at_rate(work: Callable[[], object], rate: float, samples: int) -> list[float]:
    """Return the seconds of each, counted from when it was due.

    Args:
        work: begun at a steady rate, also when an earlier one has not ended.
        rate: a second.
        samples: how many.
    """
    start = perf_counter()

    def run(due: float) -> float:
        sleep(max(0.0, due - perf_counter()))
        work()
        return perf_counter() - due

    with ThreadPoolExecutor(samples) as pool:
        return list(pool.map(run, (start + number / rate for number in range(samples))))


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of them does not exceed."""
    return sorted(values)[max(0, ceil(part * len(values)) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """Return the table for people."""
    head = ["figure", "median", "beside", "ratio", "goal", "", "n"]
    rows = [head, *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def write_json(figures: Sequence[Figure], file: Path) -> None:
    """Write the figures for programs, with what they were measured on."""
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    lines = [asdict(figure) | {"met": figure.met} for figure in figures]
    file.write_text(json.dumps({"machine": machine, "figures": lines}, indent=2) + "\n")


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
