"""Runs a program on a terminal of its own, and answers what it asks."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cli.stand_in_hub import WAIT_SECONDS


@dataclass(frozen=True)
class Shown:
    """What a program did on its terminal; a line ends as it was printed, with one newline."""

    code: int
    text: str


def on_terminal(
    command: Sequence[str],
    *answers: tuple[str, str],
    columns: int = 80,
    stdout: int | None = None,
    **environ: str,
) -> Shown:
    """Run a command on a terminal.

    Args:
        command: program and arguments.
        answers: what to wait for, and what to type then.
        columns: of the terminal.
        stdout: where stdout goes instead.
        environ: more variables; "" takes one away.
    """
    leader, follower = pty.openpty()
    own = {
        "TERM": "xterm-256color",
        "COLUMNS": str(columns),
        "LANG": "C.UTF-8",
        "CI": "",
        **environ,
    }
    process = subprocess.Popen(
        command,
        stdin=follower,
        stdout=follower if stdout is None else stdout,
        stderr=follower,
        env={name: value for name, value in (os.environ | own).items() if value},
    )
    os.close(follower)
    seen, waiting = b"", list(answers)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and select.select([leader], [], [], WAIT_SECONDS)[0]:
        try:
            seen += os.read(leader, 4096)
        except OSError:
            break  # the program and all that it started have closed their end
        if waiting and waiting[0][0].encode() in seen:
            os.write(leader, waiting.pop(0)[1].encode())
    os.close(leader)
    code = process.wait(WAIT_SECONDS)
    assert not waiting, seen
    return Shown(code, seen.decode().replace("\r\n", "\n"))
