"""One SSH session channel and the process behind it, as sshd's session.c has it (RFC 4254, 6).

The exit status is told when the command has exited; the channel is closed when the last process
has closed the command's output, too. A channel that is lost hangs up its terminal, and with it all
that runs there in the foreground; a command without a terminal goes on, as with sshd.
"""

import asyncio
import logging
import os
import signal
import termios
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from kworkspace.spawners.local.server.account import Account, session_environment
from kworkspace.spawners.local.server.children import Children
from kworkspace.spawners.local.server.program import (
    Program,
    start_on_pipes,
    start_on_terminal,
)
from kworkspace.spawners.local.server.sftp import SFTPSession, find_sftp_server
from kworkspace.spawners.local.server.streams import Inlet, Outlet
from kworkspace.spawners.local.server.terminal import Size, Terminal, open_terminal
from kworkspace.ssh.close import HeldClose
from kworkspace.ssh.command import accept_any_command, command_bytes
from kworkspace.ssh.eow import on_eow, send_eow
from kworkspace.ssh.exit import SIGNALS, send_exit_signal, send_exit_status

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Host:
    """What all sessions of a workspace share."""

    loop: asyncio.AbstractEventLoop
    account: Account
    home: Path
    environment: Mapping[bytes, bytes]
    children: Children
    sessions: "set[Session]" = field(default_factory=set)
    session_ended: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: bool = False


class Session(asyncssh.SSHServerSession[bytes]):
    """A channel, from its opening to its end."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._terminal: Terminal | None = None
        self._pid: int | None = None
        self._exited = False
        self._lost = False
        self._inlet: Inlet | None = None
        self._outlets: list[Outlet] = []
        self._sftp: SFTPSession | None = None

    # What the client asks for.

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Take the channel."""
        self._channel = chan
        self._host.sessions.add(self)
        self._close = HeldClose(chan, self._client_closed)
        on_eow(chan, self._client_reads_no_more)
        accept_any_command(chan)

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Open a terminal (6.2)."""
        try:
            self._terminal = open_terminal(term_type, Size(*term_size), term_modes)
        except OSError as error:
            log.warning("No pseudo-terminal: %s", error)
            return False
        return True

    def shell_requested(self) -> bool:
        """Start the login shell (6.5); a leading hyphen in its name makes it one."""
        shell = self._host.account.shell
        return self._start(shell, [os.fsencode(f"-{Path(shell).name}")])

    def exec_requested(self, command: str) -> bool:
        """Hand a command to the shell (6.5)."""
        shell = self._host.account.shell
        return self._start(shell, [os.fsencode(Path(shell).name), b"-c", command_bytes(command)])

    def subsystem_requested(self, subsystem: str) -> bool:
        """Start SFTP (6.5); there is no other subsystem."""
        if subsystem != "sftp":
            return False
        if (program := find_sftp_server()) is not None:
            return self._start(program, [os.fsencode(Path(program).name)])
        self._sftp = SFTPSession(self._channel)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Pass the new size on (6.7)."""
        if self._terminal is not None:
            self._terminal.resize(Size(width, height, pixwidth, pixheight))

    def signal_received(self, signal: str) -> None:
        """Signal the command's process group (6.9), as sshd does."""
        if signal in SIGNALS:
            self._signal(f"SIG{signal}")

    def break_received(self, msec: int) -> bool:
        """Send a break (RFC 4335)."""
        if self._terminal is None:
            return False
        try:
            termios.tcsendbreak(self._terminal.master, 0)
        except termios.error:
            return False
        return True

    def _signal(self, name: str) -> None:
        # The pid is the group's, and ours alone until it is reaped.
        if self._pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.Signals[name])

    # The process.

    def _start(self, path: str, argv: list[bytes]) -> bool:
        if self._host.stopping:
            return False
        environment = {
            **self._host.environment,
            **session_environment(self._channel, self._terminal),
        }
        program = Program(path, argv, self._host.home, environment)
        try:
            if self._terminal is None:
                self._start_on_pipes(program)
            else:
                self._start_on_terminal(program, self._terminal)
        except (OSError, ValueError) as error:
            log.warning("Cannot start %s: %s", path, error)
            return False
        return True

    def _start_on_pipes(self, program: Program) -> None:
        self._pid, pipes = start_on_pipes(self._host.children, program, self._ended)
        self._inlet = self._make_inlet(pipes.input)
        self._outlets = [
            self._make_outlet(pipes.output, None),
            self._make_outlet(pipes.error, asyncssh.EXTENDED_DATA_STDERR),
        ]

    def _start_on_terminal(self, program: Program, terminal: Terminal) -> None:
        self._pid = start_on_terminal(self._host.children, program, terminal, self._ended)
        self._inlet = self._make_inlet(os.dup(terminal.master))
        self._outlets = [self._make_outlet(os.dup(terminal.master), None)]

    def _make_inlet(self, fd: int) -> Inlet:
        return Inlet(
            self._host.loop,
            fd,
            pause=self._channel.pause_reading,
            resume=self._channel.resume_reading,
            broken=self._nobody_reads_input,
        )

    def _make_outlet(self, fd: int, datatype: int | None) -> Outlet:
        def deliver(chunk: bytes) -> None:
            with suppress(BrokenPipeError):  # the client has closed the channel meanwhile
                self._channel.write(chunk, datatype)

        return Outlet(self._host.loop, fd, deliver, self._outlet_ended)

    def _ended(self, status: int) -> None:
        self._pid = None
        self._exited = True
        if os.WIFSIGNALED(status):
            name = _signal_name(os.WTERMSIG(status))
            send_exit_signal(self._channel, name, core_dumped=os.WCOREDUMP(status))
        else:
            send_exit_status(self._channel, os.WEXITSTATUS(status))
        if self._inlet is not None:
            self._inlet.close()
        if self._terminal is not None:
            # What still holds the terminal open in the background does not hold the channel.
            for outlet in self._outlets:
                outlet.end_when_empty()
        self._outlet_ended()

    # The streams.

    def session_started(self) -> None:
        """Begin; a process runs already."""
        if self._sftp is not None:
            self._sftp.session_started()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Take input."""
        if self._sftp is not None:
            self._sftp.data_received(data, datatype)
        elif self._inlet is not None:
            self._inlet.write(data)

    def eof_received(self) -> bool:
        """Pass the end of input on; a terminal has none, as with sshd."""
        if self._sftp is not None:
            return self._sftp.eof_received()
        if self._inlet is not None and self._terminal is None:
            self._inlet.close_when_written()
        return True

    def pause_writing(self) -> None:
        """Read nothing more from the process: the client is slow."""
        if self._sftp is not None:
            self._sftp.pause_writing()
        for outlet in self._outlets:
            outlet.pause()

    def resume_writing(self) -> None:
        """Go on."""
        if self._sftp is not None:
            self._sftp.resume_writing()
        for outlet in self._outlets:
            outlet.resume()

    def _outlet_ended(self) -> None:
        if self._lost or any(outlet.is_open for outlet in self._outlets):
            return
        if self._exited:
            self._close.close()
        else:
            self._channel.write_eof()

    def _client_closed(self) -> None:
        # As sshd: the terminal is hung up, the pipes are closed, and the exit is still told.
        self._let_go()
        if self._pid is None:
            self._close.close()

    def _client_reads_no_more(self) -> None:
        if self._terminal is not None:
            self._let_go()
        elif self._outlets:
            self._outlets[0].close()

    def _nobody_reads_input(self) -> None:
        # sshd tells its own kind, so that `producer | ssh host consumer` ends its producer.
        if not self._lost and "OpenSSH" in self._channel.get_extra_info("client_version", ""):
            send_eow(self._channel)

    # The end.

    def tell(self, message: str) -> None:
        """Show a line to the person, beside the output."""
        with suppress(BrokenPipeError):
            self._channel.write_stderr(f"\r\n{message}\r\n".encode())

    def hang_up(self) -> None:
        """Signal the command that its session is over."""
        self._signal("SIGHUP")

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; the last close of a terminal hangs it up."""
        self._lost = True
        self._host.sessions.discard(self)
        self._host.session_ended.set()
        if self._sftp is not None:
            self._sftp.connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        if self._inlet is not None:
            self._inlet.close()
        for outlet in self._outlets:
            outlet.close()
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:  # a real-time signal
        return str(number)
