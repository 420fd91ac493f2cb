"""Session channels that pass requests on as they came (RFC 4254, section 6).

asyncssh's own session API decodes requests, and answers some before anybody could know: a command
that is not UTF-8 is refused, an empty one becomes a shell, an unknown subsystem is confirmed. A
relay must not edit. So these two classes hand a request's bytes to `SessionRelay`, and the answer
comes from the workspace. Which requests pass is decided here and nowhere else.

They build on asyncssh's request queue, which is not public: `tests/gateway/test_relay.py` compares
all of it with a direct connection, and fails when an asyncssh does it differently.
"""

import asyncio
import contextlib
from typing import Protocol

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
)
from asyncssh.packet import PacketDecodeError, SSHPacket

AGENT = "auth-agent-req@openssh.com"
EOW = "eow@openssh.com"
X11 = "x11-req"
TO_WORKSPACE = frozenset(
    {"pty-req", "env", "shell", "exec", "subsystem", "window-change", "signal", "break"}
    | {EOW, AGENT, X11}
)
TO_USER = frozenset({"exit-status", "exit-signal", "xon-xoff", EOW})
STARTS = frozenset({"shell", "exec", "subsystem"})
_TELLING = STARTS | {"pty-req"}
_TELLING_SECONDS = 2.0

_KEEPALIVE = "keepalive@openssh.com"
_MAX_WAITING_REQUESTS = 1000
_MAX_WAITING_BYTES = 256 * 1024
_MAX_ENV_BYTES = 8 * 1024
_ENV_NAMES = frozenset({b"LANG", b"LANGUAGE", b"TZ", b"COLORTERM", b"NO_COLOR", b"TERM_PROGRAM"})
_ENV_PREFIXES = (b"LC_", b"GIT_AUTHOR_", b"GIT_COMMITTER_", b"KWORKSPACE_ENV_")
_INTERRUPT = b"\x03"


def accepts_env(payload: bytes) -> bool:
    """Whether an `env` request's variable is one that people may bring along."""
    packet = SSHPacket(payload)
    try:
        name, value = packet.get_string(), packet.get_string()
    except PacketDecodeError:
        return False
    if len(value) > _MAX_ENV_BYTES:
        return False
    return name in _ENV_NAMES or name.startswith(_ENV_PREFIXES)


class UserEvents(Protocol):
    """What a channel of the user tells its relay."""

    def user_request(self, name: str, payload: bytes, want_reply: bool) -> None:
        """A request came; `UserChannel.answer` must follow before the next one is told."""

    def user_interrupt(self) -> None:
        """Ctrl-C came from a terminal before the session started."""

    def user_closed(self) -> None:
        """The user closed the channel, and all their input has been told."""

    @property
    def is_joined(self) -> bool:
        """Whether there is a channel of the workspace."""


class UserChannel(asyncssh.SSHServerChannel[bytes]):
    """The user's end of a session channel."""

    def __init__(self, conn: asyncssh.SSHServerConnection, events: UserEvents) -> None:
        super().__init__(
            conn,
            asyncio.get_running_loop(),
            True,
            False,
            False,
            0,
            0,
            None,
            "strict",
            _WINDOW,
            _PACKET,
        )
        self._events = events
        self._waiting_bytes = 0
        self.held_bytes = 0  # of requests that were answered and are kept; they count as waiting
        self._trailing: list[tuple[bytes, bytes]] = []
        self._has_pty = False
        self._started = False
        self._has_exited = False
        self._told_kind = asyncio.Event()
        self._close_request: tuple[int, int, SSHPacket] | None = None

    @property
    def newline(self) -> str:
        """What ends a line that the gateway itself writes: a raw terminal needs both."""
        return "\r\n" if self.has_pty else "\n"

    @property
    def has_pty(self) -> bool:
        """Whether a terminal was asked for, be it in a request that still waits."""
        return self._has_pty or any(name == "pty-req" for name, _, _ in self._request_queue)

    async def wants_terminal(self) -> bool:
        """Whether it is for a terminal, as soon as a request tells.

        A client that first waits for the answer to another request is taken to want none.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TELLING_SECONDS):
                await self._told_kind.wait()
        return self.has_pty

    @property
    def has_closed(self) -> bool:
        """Whether the user wants nothing more of it but how it ended."""
        return self._close_request is not None

    @property
    def is_open(self) -> bool:
        """Whether something can still be written."""
        return self._send_state == "open"

    def say(self, line: str) -> None:
        """Write a line of the gateway's own to the user's stderr."""
        if self.is_open:
            self.write_stderr((line + self.newline).encode())

    def answer(self, result: bool) -> None:
        """Answer the request that was told last, and go on to the next."""
        if self._request_queue:
            name = self._request_queue[0][0]
            self._has_pty |= result and name == "pty-req"
            self._started |= result and name in STARTS
            self._report_response(result)

    def answer_soon(self, result: bool) -> None:
        """As `answer`; at once, a thousand of them in a row would be a thousand frames deep."""
        self._loop.call_soon(self.answer, result)

    def send_request(self, name: str, payload: bytes) -> None:
        """Pass a request to the user, behind the data that came before it."""
        self._has_exited |= name.startswith("exit-")
        self._trailing.append((name.encode("ascii"), payload))
        if not self._send_buf:
            self._send_trailing()

    def finish(self, status: int) -> None:
        """End the session, with an exit status unless it has one (RFC 4254, section 6.10)."""
        if not self._has_exited:
            self.send_request("exit-status", status.to_bytes(4, "big"))
        self.close()

    def close_in_turn(self) -> None:
        """The workspace has closed: so close, or answer the user's own close."""
        if self._close_request is None:
            self.close()
        else:
            request, self._close_request = self._close_request, None
            self._process_close(*request)

    def _send_trailing(self) -> None:
        trailing, self._trailing = self._trailing, []
        for name, payload in trailing:
            self._send_request(name, payload)

    def _flush_send_buf(self) -> None:
        super()._flush_send_buf()
        if not self._send_buf:
            self._send_trailing()

    def _close_send(self) -> None:
        if self._send_state != "closed":
            self._send_trailing()
        super()._close_send()

    def _service_next_request(self) -> None:
        name, packet, want_reply = self._request_queue[0]
        if name == _KEEPALIVE:
            super()._service_next_request()
        elif name in TO_WORKSPACE:
            self._events.user_request(name, packet.get_remaining_payload(), want_reply)
        else:
            self.answer_soon(False)

    def _report_response(self, result: bool) -> None:
        self._waiting_bytes -= len(self._request_queue[0][1].get_full_payload())
        super()._report_response(result)

    def _accept_data(self, data: bytes, datatype: int | None = None) -> None:
        if not self._started and _INTERRUPT in data and self.has_pty:
            self._events.user_interrupt()
        super()._accept_data(data, datatype)

    def _receive_request(self, kind: int, sequence: int, packet: SSHPacket) -> None:
        self._waiting_bytes += len(packet.get_full_payload())
        if (
            len(self._request_queue) >= _MAX_WAITING_REQUESTS
            or self._waiting_bytes + self.held_bytes > _MAX_WAITING_BYTES
        ):
            raise asyncssh.ProtocolError("Too many channel requests")
        self._process_request(kind, sequence, packet)
        if self._request_queue and self._request_queue[-1][0] in _TELLING:
            self._told_kind.set()

    def _receive_close(self, kind: int, sequence: int, packet: SSHPacket) -> None:
        """Let the workspace close first, unless it has: its exit status is still to come.

        OpenSSH's client closes as soon as it has seen the end of both streams, and sshd answers
        once the command has ended. asyncssh answers at once, after which nothing can be sent
        (RFC 4254, section 5.3).
        """
        if not self._events.is_joined or self._send_state in {"close_pending", "closed"}:
            self._process_close(kind, sequence, packet)
            self._events.user_closed()
            return
        self._close_request = (kind, sequence, packet)
        if self._recv_state == "open":
            self._recv_state = "eof_pending"
            self._flush_recv_buf()
        elif self._recv_state == "eof":
            self._events.user_closed()

    _packet_handlers = {
        **SSHChannel._packet_handlers,  # noqa: SLF001  a class's own table, extended
        MSG_CHANNEL_REQUEST: _receive_request,
        MSG_CHANNEL_CLOSE: _receive_close,
    }


class WorkspaceEvents(Protocol):
    """What a channel of the workspace tells its relay."""

    def workspace_reply(self, result: bool) -> None:
        """The request that was passed on was granted, or not."""

    def workspace_request(self, name: str, payload: bytes) -> None:
        """A request came that is for the user."""


class WorkspaceChannel(asyncssh.SSHClientChannel[bytes]):
    """The workspace's end of a session channel."""

    def __init__(self, conn: asyncssh.SSHClientConnection, events: WorkspaceEvents) -> None:
        super().__init__(
            conn,
            asyncio.get_running_loop(),
            "replace",
            None,
            "strict",
            _WINDOW,
            _PACKET,
        )
        self._events = events
        self._replies = 0
        self.closed_by_workspace = False

    async def open(self, session: asyncssh.SSHClientSession[bytes]) -> None:
        """Open the channel, and read from it.

        Raises:
            ChannelOpenError: the workspace refused, or the connection is lost.
        """
        packet = await self._open(b"session")
        packet.check_end()
        self._session = session
        session.connection_made(self)
        self.resume_reading()

    def request(self, name: str, payload: bytes, want_reply: bool) -> None:
        """Pass a request on; its reply, if one is wanted, comes as `workspace_reply`."""
        self._replies += want_reply
        self._send_request(name.encode("ascii"), payload, want_reply=want_reply)

    def process_open_confirmation(
        self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket
    ) -> None:
        """Close at once a channel that nobody waits for any more."""
        abandoned = self._open_waiter is not None and self._open_waiter.cancelled()
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)
        if abandoned:
            self.close()

    def _service_next_request(self) -> None:
        name, packet, _ = self._request_queue[0]
        if name == _KEEPALIVE:
            super()._service_next_request()
            return
        if name in TO_USER:
            self._events.workspace_request(name, packet.get_remaining_payload())
        self._report_response(name in TO_USER)

    def _receive_close(self, kind: int, sequence: int, packet: SSHPacket) -> None:
        self.closed_by_workspace = True
        self._process_close(kind, sequence, packet)

    def _receive_reply(self, kind: int, sequence: int, packet: SSHPacket) -> None:
        """Tell it at once: a task would be told behind the output that follows it."""
        packet.check_end()
        if not self._replies:
            raise asyncssh.ProtocolError("Unexpected channel response")
        self._replies -= 1
        self._events.workspace_reply(kind == MSG_CHANNEL_SUCCESS)

    _packet_handlers = {
        **SSHChannel._packet_handlers,  # noqa: SLF001  a class's own table, extended
        MSG_CHANNEL_SUCCESS: _receive_reply,
        MSG_CHANNEL_FAILURE: _receive_reply,
        MSG_CHANNEL_CLOSE: _receive_close,
    }


_WINDOW = 2 * 1024 * 1024
_PACKET = 32 * 1024
