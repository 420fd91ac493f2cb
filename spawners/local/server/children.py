"""The one place that starts and reaps processes here.

The server is a child subreaper (prctl(2)): whatever a session daemonises becomes its child again
when its parent ends. So it reaps them all; nothing else here may wait for a child.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kworkspace.spawners.local.sealed import become_subreaper


class Children:
    """All processes below this one; made on the event loop, once.

    Attributes:
        changed: set whenever a child has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.changed = asyncio.Event()
        self._ended: dict[int, Callable[[int], None]] = {}
        become_subreaper()
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def start(
        self,
        argv: Sequence[bytes],
        *,
        executable: str,
        directory: Path,
        environment: Mapping[bytes, bytes],
        stdio: tuple[int, int, int],
        ended: Callable[[int], None],
    ) -> int:
        """Start a program as the leader of a session of its own (setsid(2)).

        Args:
            argv: its arguments, with the name that it is to see for itself.
            executable: the program, an absolute path.
            directory: where it starts; `/` when that is gone.
            environment: all of its environment.
            stdio: descriptors for its standard input, output and error.
            ended: called from the event loop, once, with the wait status (wait(2)).

        Returns:
            Its pid, which stays its own until `ended` is called.

        Raises:
            OSError: it cannot be started.
            ValueError: an argument contains a zero byte.
        """
        process = subprocess.Popen(
            argv,
            executable=executable,
            cwd=directory if directory.is_dir() else "/",
            env=environment,
            stdin=stdio[0],
            stdout=stdio[1],
            stderr=stdio[2],
            start_new_session=True,
        )
        process.returncode = 0  # it is reaped below; this object has nothing to wait for
        self._ended[process.pid] = ended
        return process.pid

    def reap(self) -> None:
        """Take note of all that have ended."""
        # SIGCHLD says "at least one": several ends may have come as one signal.
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if (ended := self._ended.pop(pid, None)) is not None:
                ended(status)
        self.changed.set()
