"""`./xtask bench [FIGURE ...] [OPTION ...]`: prints a table, writes the JSON."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from bench.command import command_times
from bench.hubs import on_postgres
from bench.recovery import AWAY_SECONDS, recovery
from bench.replicas import hubs
from bench.report import Figure, table, write_json
from bench.scale import requests, start_and_memory
from bench.sessions import Load
from bench.spawn import SIZES, spawn
from bench.ssh import MEGABYTES, ssh
from bench.workspaces import start_to_ready, warm_connect

GROUPS: dict[str, Callable[[], Iterator[Figure]]] = {
    "start": start_to_ready,
    "connect": warm_connect,
    "command": command_times,
    "hub": start_and_memory,
    "requests": requests,
    "hubs": hubs,
    "spawn": spawn,
    "recovery": recovery,
    "ssh": ssh,
}
DEFAULT_JSON = Path(__file__).parent.parent / ".bench" / "figures.json"


def main() -> None:
    """Measure what was asked for, by default all of it."""
    parser = argparse.ArgumentParser(prog="xtask bench", description=__doc__)
    parser.add_argument("figure", nargs="*", type=_group, help=", ".join(GROUPS))
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, metavar="FILE")
    parser.add_argument(
        "--postgres", action="store_true", help="hubs on a Postgres server instead of SQLite"
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=SIZES,
        metavar="N,N",
        help=f"how many workspaces `spawn` starts at once; default: {','.join(map(str, SIZES))}",
    )
    parser.add_argument(
        "--away",
        type=float,
        default=AWAY_SECONDS,
        metavar="SECONDS",
        help="how long the API server is gone in `recovery`; default: %(default)g",
    )
    parser.add_argument(
        "--megabytes",
        type=int,
        default=MEGABYTES,
        metavar="N",
        help="how much (MiB) `ssh` transfers at a time; default: %(default)s",
    )
    load = Load()
    for flag, default, metavar, what in (
        ("--sessions", load.sessions, "N", "how many sessions `ssh` holds"),
        ("--rate", load.rate, "KB", "what each of them prints a second"),
        ("--seconds", load.seconds, "N", "how long"),
    ):
        text = f"{what}; default: %(default)g"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=text)
    given = parser.parse_args()
    groups = GROUPS | {
        "spawn": partial(spawn, given.sizes),
        "recovery": partial(recovery, given.away),
        "ssh": partial(ssh, given.megabytes, Load(given.sessions, given.rate, given.seconds)),
    }
    figures: list[Figure] = []
    with on_postgres() if given.postgres else nullcontext():
        for name in given.figure or GROUPS:
            print(f"Measuring: {name}", file=sys.stderr)
            figures += groups[name]()
    given.json.parent.mkdir(parents=True, exist_ok=True)
    write_json(figures, given.json)
    print(table(figures))
    print(f"\nThe same as JSON: {given.json}")


def _group(name: str) -> str:
    if name not in GROUPS:
        raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(GROUPS)}")
    return name


def _sizes(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
