"""Serve a cluster from a process of its own: python -m tests.kube_api DIRECTORY [--cheap 2].

Writes one line of JSON to stdout when it listens, and ends with SIGTERM or when stdin closes.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from tests.kube_api.cluster import serve


async def run(directory: Path, cheap: float | None, port: int) -> None:
    """Serve until stdin is closed."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def at_input() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            closed.set()

    loop.add_reader(sys.stdin.fileno(), at_input)
    async with serve(directory, cheap=cheap, port=port) as cluster:
        told = {"url": cluster.url, "kubeconfig": str(cluster.kubeconfig), "pid": os.getpid()}
        print(json.dumps(told), flush=True)
        await closed.wait()
    loop.remove_reader(sys.stdin.fileno())


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--cheap", type=float, default=None, help="seconds to readiness")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(args.directory, args.cheap, args.port))


if __name__ == "__main__":
    main()
