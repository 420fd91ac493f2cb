"""Notices the end of workspaces' processes, children of ours or not, by pidfd (pidfd_open(2))."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress


class ExitWatch:
    """Holds one process's pidfd, calls back when the process has ended, and reaps it.

    Args:
        pid: the process's; nobody else has it as long as this watch is not over.
        fd: the pidfd; closed here.
        ended: called once, from the event loop, with how it ended ("exit status 1", "signal
            SIGKILL"), or None when the process was no child of ours.

    Attributes:
        over: set when it has ended, or when the watch was closed.
    """

    def __init__(self, pid: int, fd: int, ended: Callable[[str | None], None]) -> None:
        self.pid = pid
        self.over = asyncio.Event()
        self._fd = fd
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._notice)

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it still lives."""
        if self._fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, number)

    async def wait(self, seconds: float) -> bool:
        """Wait for the end; False when the process still lives after that time."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Watch no more; what runs goes on, what has ended is no zombie."""
        if self._fd >= 0:
            _reap(self._fd)
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        self.over.set()

    def _notice(self) -> None:
        how = _reap(self._fd)
        self.close()
        self._ended(how)


def _reap(fd: int) -> str | None:
    try:
        result = os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:  # somebody else's child: a hub before us started it
        return None
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return f"exit status {result.si_status}"
    return f"signal {signal.Signals(result.si_status).name}"
