"""A real ssh-agent that holds a key."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SECONDS = 20.0


@contextlib.contextmanager
def agent_with(key: Path) -> Iterator[Path]:
    """Run an agent for the time of a block; return its socket."""
    # A short path: a socket's address has 108 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="kw", dir="/tmp") as folder:
        path = Path(folder, "agent")
        process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
        environment = os.environ | {"SSH_AUTH_SOCK": str(path)}
        try:
            deadline = time.monotonic() + SECONDS
            # 2 is "no agent": it has not begun to listen yet.
            while _status(["ssh-add", "-l"], environment) == 2:
                assert time.monotonic() < deadline, "no agent"
            subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True)
            yield path
        finally:
            process.terminate()
            process.wait(SECONDS)


def _status(command: list[str], environment: dict[str, str]) -> int:
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return done.returncode
