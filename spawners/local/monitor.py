"""The part of a sealed workspace that stays root: `python -m kworkspace.spawners.local.monitor`.

It holds the lock, starts the workspace's server as the account, writes the state and the log, and
ends all that descends from it, wherever that has hidden: the account can neither signal it nor
write one of its files. To the hub it is what an unsealed workspace's server is. It believes the
server nothing but that it is ready: address and host key are made here. It reads no path that the
account can change. Imports nothing that is slow to import.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.local.accounts import UnixAccount, find_account, login_environment
from kworkspace.spawners.local.begin import default_signals, sign_lock
from kworkspace.spawners.local.bounded_log import BoundedLog
from kworkspace.spawners.local.files import open_regular, write_atomically
from kworkspace.spawners.local.launch import HANDED_ON, PYTHON, SERVER
from kworkspace.spawners.local.sealed import become_subreaper, leave_keyring, limit_resources
from kworkspace.spawners.local.state import ADDRESS, READY, Given, Owner, Paths, Settings, State
from kworkspace.spawners.processes import MARKER, descendants, kill_all, send

_MARGIN_SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_CHUNK = 65536
_MAX_OUTCOME = 1000
_PASSES = 20


class Monitor:
    """One server, from before its start until nothing of it is left.

    Args:
        settings: of the workspace.
        owner: this process.
        account: whose the workspace is.
    """

    def __init__(self, settings: Settings, owner: Owner, account: UnixAccount) -> None:
        self._settings = settings
        self._owner = owner
        self._account = account
        self._paths = Paths(Path(settings.root), sealed=True)
        self._outcome = b""
        self._status: int | None = None
        self._told_to_end = False
        self._stop_by: float | None = None

    def run(self) -> int:
        """Run the server to its end, and return its wait status."""
        woken, wake = os.pipe()
        for descriptor in (woken, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, self._noted)
        self._start()
        self._log = BoundedLog(self._paths.log)
        poll = select.poll()
        for descriptor in (woken, self._ready, self._output):
            poll.register(descriptor, select.POLLIN)
        while self._status is None and not self._is_late():
            for descriptor, _ in poll.poll(self._patience()):
                if descriptor == woken:
                    os.read(woken, _CHUNK)
                elif descriptor == self._output:
                    self._take_output(poll)
                else:
                    self._take_outcome(poll)
            self._reap()
            self._pass_on_the_end()
        self._end()
        return self._status or 0

    def _noted(self, number: int, _frame: object) -> None:
        self._told_to_end |= number == signal.SIGTERM

    def _pass_on_the_end(self) -> None:
        if self._told_to_end and self._stop_by is None and self._status is None:
            self._stop_by = time.monotonic() + self._settings.stop_seconds + _MARGIN_SECONDS
            for number in (signal.SIGTERM, signal.SIGCONT):
                os.kill(self._server.pid, number)  # we alone reap it, so the pid is its own

    def _is_late(self) -> bool:
        return self._stop_by is not None and time.monotonic() >= self._stop_by

    def _patience(self) -> float | None:
        """Return how long to wait, in milliseconds; for ever until the end is near."""
        if self._stop_by is None:
            return None
        return max(0.0, self._stop_by - time.monotonic()) * 1000 + 1

    # The server.

    def _start(self) -> None:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, 0))
        self._port: int = listening.getsockname()[1]
        host_key = open_regular(self._paths.host_key)
        login = os.open(self._paths.login, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._ready, ready = os.pipe()
        self._output, output = os.pipe()
        given = Given(
            account=self._account.name,
            monitor=os.getpid(),
            listen_fd=listening.fileno(),
            host_key_fd=host_key,
            login_fd=login,
        )
        settings = replace(
            self._settings, home=self._account.home, lock_fd=-1, ready_fd=ready, given=given
        )
        # In this order: groups, group, user, each for good (credentials(7)); see `check_sealed`.
        self._server = subprocess.Popen(
            [PYTHON, "-P", "-s", *SERVER, settings.dump()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=self._environment(),
            pass_fds=(listening.fileno(), host_key, login, ready),
            extra_groups=self._account.groups,
            group=self._account.gid,
            user=self._account.uid,
            start_new_session=True,
        )
        listening.close()
        for descriptor in (host_key, login, ready, output):
            os.close(descriptor)

    def _environment(self) -> dict[str, str]:
        handed_on = (*HANDED_ON, "PYTHONPATH")
        return {
            **{name: os.environ[name] for name in handed_on if name in os.environ},
            **login_environment(self._account),
            MARKER: self._settings.id,
        }

    def _take_output(self, poll: select.poll) -> None:
        chunk = os.read(self._output, _CHUNK)
        if chunk:
            self._log.write(chunk)
        else:
            poll.unregister(self._output)

    def _take_outcome(self, poll: select.poll) -> None:
        chunk = os.read(self._ready, _CHUNK)
        self._outcome = (self._outcome + chunk)[:_MAX_OUTCOME]
        if chunk and not self._outcome.endswith(b"\n") and len(self._outcome) < _MAX_OUTCOME:
            return
        poll.unregister(self._ready)
        outcome = self._outcome.decode(errors="replace").strip()
        if outcome == READY:
            state = State(
                **asdict(self._owner),
                slug=self._settings.slug,
                host=ADDRESS,
                port=self._port,
                host_key=self._settings.host_key,
                account=self._account.name,
            )
            write_atomically(self._paths.state, json.dumps(asdict(state)))
        if outcome:
            report(self._settings.ready_fd, outcome)

    # The end.

    def _reap(self) -> None:
        """Take note of all that has ended; what lost its parent is our child."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._server.pid:
                self._server.returncode = self._status = status

    def _end(self) -> None:
        """Kill all that is left, and return when it is gone."""
        own = os.getpid()
        while left := descendants(own):
            # What is stopped starts nothing new: a process that multiplies is overtaken.
            stopped = 0
            for _ in range(_PASSES):
                for process in left:
                    send(process, signal.SIGSTOP)
                if len(left) <= stopped:
                    break
                stopped, left = len(left), descendants(own)
            kill_all(left)
            self._reap()
            time.sleep(_PAUSE_SECONDS)
        self._reap()
        os.set_blocking(self._output, False)
        with suppress(BlockingIOError):
            self._log.write(os.read(self._output, _CHUNK))
        for path in (self._paths.state, self._paths.uid):
            path.unlink(missing_ok=True)


def report(fd: int, line: str) -> None:
    """Tell the hub how the start went; one that was killed meanwhile has closed its end."""
    try:
        os.write(fd, f"{line}\n".encode())
    except OSError:
        return


def main() -> None:
    """Run one sealed workspace until SIGTERM, and end as its server did."""
    settings = Settings.parse(sys.argv[1])
    owner = sign_lock(settings)
    default_signals()
    os.umask(0o077)
    become_subreaper()
    leave_keyring()
    limit_resources()
    try:
        account = find_account(settings.user)
        write_atomically(Paths(Path(settings.root), sealed=True).uid, str(account.uid))
        status = Monitor(settings, owner, account).run()
    except (StartFailed, OSError) as error:
        report(settings.ready_fd, str(error))
        raise SystemExit(1) from None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    raise SystemExit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
