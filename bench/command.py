"""The `kworkspace` command as whole processes, beside a Python that does nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.hubs import bench_hub
from bench.report import Figure, alternately

RUNS = 30


def command_times() -> Iterator[Figure]:
    """`--help`, and `status` of a workspace that runs, with a token that is kept."""
    with bench_hub(users=["alice"]) as hub:
        hub.start()
        hub.user_call("POST", "/alice/server")
        environ = {name: text for name, text in os.environ.items() if name != "SSH_AUTH_SOCK"}
        environ |= {
            "KWORKSPACE_API": hub.url,
            "KWORKSPACE_USER": "alice",
            "KWORKSPACE_SSH_KEY_PATH": str(hub.key),
            "XDG_STATE_HOME": str(hub.directory / "state"),
        }
        program = str(Path(sys.executable).with_name("kworkspace"))

        def run(*command: str) -> None:
            subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)

        help_time, status_time, floor = alternately(
            RUNS,
            lambda: run(program, "--help"),
            lambda: run(program, "status"),
            lambda: run(sys.executable, "-c", "pass"),
        )
    for name, taken, goal in (("--help", help_time, 120), ("status", status_time, 250)):
        yield Figure(
            f"kworkspace {name}",
            taken * 1000,
            "ms",
            RUNS,
            goal=goal,
            peer=floor * 1000,
            peer_name="python -c pass",
        )
