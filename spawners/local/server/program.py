"""Starts what a session runs: on three pipes, or on a terminal of its own."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kworkspace.spawners.local.server.children import Children
from kworkspace.spawners.local.server.terminal import Terminal

_CONTROLLING_TERMINAL = Path(__file__).with_name("controlling_terminal.py")


@dataclass(frozen=True, slots=True)
class Program:
    """What to start.

    Attributes:
        path: the executable, absolute.
        argv: its arguments, with the name that it is to see for itself.
        directory: where it starts.
        environment: all of its environment.
    """

    path: str
    argv: list[bytes]
    directory: Path
    environment: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends of a program's standard input, output and error."""

    input: int
    output: int
    error: int


def start_on_pipes(
    children: Children, program: Program, ended: Callable[[int], None]
) -> tuple[int, Pipes]:
    """Start a program and return its pid and pipes; see `Children.start` for the rest."""
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for is_output in (False, True, True):
            read, write = os.pipe()
            ours.append(read if is_output else write)
            theirs.append(write if is_output else read)
        pid = children.start(
            program.argv,
            executable=program.path,
            directory=program.directory,
            environment=program.environment,
            stdio=(theirs[0], theirs[1], theirs[2]),
            ended=ended,
        )
    except (OSError, ValueError):
        _close_all(ours)
        raise
    finally:
        _close_all(theirs)
    return pid, Pipes(*ours)


def start_on_terminal(
    children: Children, program: Program, terminal: Terminal, ended: Callable[[int], None]
) -> int:
    """Start a program whose controlling terminal this is, and return its pid."""
    locale = "keep" if b"LC_CTYPE" in program.environment else "unset"
    helper = [sys.executable, "-I", "-S", str(_CONTROLLING_TERMINAL), locale, program.path]
    pid = children.start(
        [*map(os.fsencode, helper), *program.argv],
        executable=sys.executable,
        directory=program.directory,
        environment=program.environment,
        stdio=(terminal.slave, terminal.slave, terminal.slave),
        ended=ended,
    )
    terminal.close_slave()
    return pid


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
