"""A session of the real ssh that answers each line with itself: whether it lives can be asked."""

import subprocess
from collections.abc import Mapping, Sequence

COMMAND = "echo here; cat"
Echo = subprocess.Popen[str]


def open_echo(line: Sequence[str], environment: Mapping[str, str] | None = None) -> Echo:
    """Open one, and return when it is there.

    Args:
        line: of ssh, that runs COMMAND.
        environment: of ssh.
    """
    session = subprocess.Popen(
        line,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert session.stdout is not None
    assert session.stdout.readline() == "here\n"
    return session


def answers(session: Echo, line: str) -> bool:
    """Whether the session still answers."""
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(f"{line}\n")
    session.stdin.flush()
    return session.stdout.readline() == f"{line}\n"
