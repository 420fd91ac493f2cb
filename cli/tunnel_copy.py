"""Copies between ssh, on stdin and stdout, and a tunnel's WebSocket, until both have ended.

One thread that waits with poll(2): what the one end does not take is not read from the other, so
that a slow reader never makes it grow. The protocol is in `client.tunnel`.
"""

import contextlib
import fcntl
import os
import select
import socket
import ssl
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.frames import ROOM, Decoder, FrameError, Opcode, frame, head
from kworkspace.cli.client.tunnel import EOF, PING_SECONDS, text_of, words_of

SIZE = 512 * 1024
BULK = 48 * 1024
PAUSE_SECONDS = 0.001  # as in `gateway.wire`: few large pieces instead of many small ones
SILENCE_SECONDS = 4 * PING_SECONDS
PIPE_BYTES = 1024 * 1024

_LOST = "the connection to the gateway was lost"

Hear = Callable[[str, str], None]


class Copying:
    """The two directions.

    Args:
        sock: the WebSocket's connection, plain or TLS.
        left: what came with the answer to its request.
        hear: called with each text message's word and text, before any byte after it is passed on.
        stdin: where ssh writes.
        stdout: where ssh reads; of a socket, another descriptor than `stdin`.
    """

    def __init__(
        self, sock: socket.socket, left: bytes, hear: Hear, stdin: int = 0, stdout: int = 1
    ) -> None:
        self._sock = sock
        self._hear = hear
        self._stdin, self._stdout = stdin, stdout
        self._up = memoryview(bytearray(ROOM + SIZE))
        self._to_send: deque[memoryview] = deque()
        self._down = memoryview(bytearray(SIZE))
        self._decoder = Decoder(masked=False)
        self._frames = self._decoder.feed(memoryview(left))
        self._to_write: memoryview | bytes = b""
        self._input_ended = self._output_ended = self._over = False
        self._much = False
        self._sent = self._heard = time.monotonic()

    def run(self) -> None:
        """Copy until it is over.

        Raises:
            HubUnreachable: the connection broke before that.
            KworkspaceError: what `hear` raises.
        """
        self._sock.setblocking(False)
        with _prepared(self._stdin), _prepared(self._stdout):
            try:
                self._next_frame()  # of what has come already, which wakes nobody
                while not self._is_done():
                    self._turn()
            except BrokenPipeError:  # ssh has gone
                self._say_goodbye()
            except (OSError, ssl.SSLError) as error:
                raise HubUnreachable(f"{_LOST}: {error.strerror or error}") from error
            except FrameError as error:
                raise HubUnreachable(f"{_LOST}: it broke the protocol ({error})") from error

    def _is_done(self) -> bool:
        if self._to_write or self._to_send:
            return False
        if self._input_ended and self._output_ended and not self._over:
            self._say_goodbye()
        return self._over

    def _say_goodbye(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._sock.send(frame(Opcode.CLOSE, (1000).to_bytes(2), masked=True))

    def _turn(self) -> None:
        """Wait until something can be done, and do it."""
        if self._much:
            time.sleep(PAUSE_SECONDS)
            self._much = False
        ready = self._wait()
        now = time.monotonic()
        if self._to_send and ready.get(self._sock.fileno(), 0) & ~select.POLLIN:
            self._send()
        if not self._to_send and not self._input_ended and ready.get(self._stdin):
            self._read_input()
        if self._to_write and ready.get(self._stdout):
            self._write_output()
        if not self._to_write and not self._over:
            self._read_frames(now)
        if now - self._sent >= PING_SECONDS and not self._to_send:
            self._queue(frame(Opcode.PING, b"", masked=True))

    def _wait(self) -> dict[int, int]:
        """Return which descriptors are ready, with poll's events."""
        of_sock = (select.POLLOUT if self._to_send else 0) | (
            0 if self._to_write else select.POLLIN
        )
        poll = select.poll()
        if of_sock:
            poll.register(self._sock, of_sock)
        if not self._to_send and not self._input_ended:
            poll.register(self._stdin, select.POLLIN)
        if self._to_write:
            poll.register(self._stdout, select.POLLOUT)
        at_once = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        timeout = 0 if at_once and not self._to_write else int(PING_SECONDS * 1000)
        return dict(poll.poll(timeout))

    def _queue(self, data: bytes | memoryview) -> None:
        self._to_send.append(memoryview(data))
        self._send()

    def _send(self) -> None:
        while self._to_send:
            try:
                sent = self._sock.send(self._to_send[0])
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except BrokenPipeError as error:
                raise ConnectionResetError(_LOST) from error
            self._sent = time.monotonic()
            if sent == len(self._to_send[0]):
                self._to_send.popleft()
            else:
                self._to_send[0] = self._to_send[0][sent:]

    def _read_input(self) -> None:
        try:
            got = os.readv(self._stdin, [self._up[ROOM:]])
        except BlockingIOError:
            return
        except ConnectionResetError as error:  # with something unread
            raise BrokenPipeError from error
        if not got:
            if _is_closed(self._stdin):
                raise BrokenPipeError
            self._input_ended = True
            self._queue(frame(Opcode.TEXT, text_of(EOF), masked=True))
            return
        self._much |= got >= BULK
        start = head(Opcode.BINARY, got, masked=True)
        self._up[ROOM - len(start) : ROOM] = start
        self._queue(self._up[ROOM - len(start) : ROOM + got])

    def _write_output(self) -> None:
        try:
            written = os.write(self._stdout, self._to_write)
        except BlockingIOError:
            return
        self._to_write = self._to_write[written:]

    def _end_output(self) -> None:
        """Have ssh see the end; the number stays taken."""
        self._output_ended = True
        if _is_socket(self._stdout):
            with socket.socket(fileno=os.dup(self._stdout)) as ssh, contextlib.suppress(OSError):
                ssh.shutdown(socket.SHUT_WR)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stdout)
        os.close(null)

    def _read_frames(self, now: float) -> None:
        """Take what the gateway sends, up to bytes that ssh must take first."""
        if self._next_frame():
            return
        try:
            got = self._sock.recv_into(self._down)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if now - self._heard > SILENCE_SECONDS:
                raise TimeoutError(0, "nothing came from it for too long") from None
            return
        self._heard = now
        if not got:
            if not self._output_ended:
                raise ConnectionResetError(0, "it was closed")
            self._over = True
            return
        self._much |= got >= BULK
        self._frames = self._decoder.feed(self._down[:got])
        self._next_frame()

    def _next_frame(self) -> bool:
        """Go through the frames of what was read; whether one is left that ssh must take first."""
        for opcode, payload in self._frames:
            if opcode is Opcode.BINARY:
                self._to_write = payload
                self._write_output()
                if self._to_write:
                    return True
            elif opcode is Opcode.PING:
                self._queue(frame(Opcode.PONG, bytes(payload), masked=True))
            elif opcode is Opcode.CLOSE:
                self._over = True
                return True
            elif opcode is Opcode.TEXT:
                word, text = words_of(bytes(payload))
                if word == EOF:
                    self._end_output()
                else:
                    self._hear(word, text)
        return False


def _is_socket(descriptor: int) -> bool:
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


def _is_closed(descriptor: int) -> bool:
    """Whether the other end of a socket is not there any more; a pipe's one cannot be told."""
    if not _is_socket(descriptor):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


@contextlib.contextmanager
def _prepared(descriptor: int) -> Iterator[None]:
    """Have a pipe of ssh's not block, and hold much; a terminal or a file stays as it is."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # more than a user may have
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        yield
        return
    os.set_blocking(descriptor, False)
    try:
        yield
    finally:
        os.set_blocking(descriptor, True)
