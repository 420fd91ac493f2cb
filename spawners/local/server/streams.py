"""Bytes between descriptors and an SSH channel, with back-pressure in both directions.

Neither side holds more than a window beyond what the other has room for: an `Outlet` stops reading
when the channel is full, an `Inlet` stops the channel when its descriptor is.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

CHUNK = 64 * 1024


class Outlet:
    """Reads a descriptor, pipe or terminal, until its end.

    Args:
        fd: to read; closed here.
        deliver: takes each chunk; may pause this outlet while it does.
        ended: called once, from the event loop, when nothing more will come.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        deliver: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._deliver = deliver
        self._ended = ended
        self._paused = False
        self._last = False
        os.set_blocking(fd, False)
        loop.add_reader(fd, self._read)

    @property
    def is_open(self) -> bool:
        """Whether something may still come."""
        return self._fd >= 0

    def pause(self) -> None:
        """Read nothing until `resume`."""
        if self.is_open and not self._paused:
            self._loop.remove_reader(self._fd)
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        if self.is_open and self._paused:
            self._loop.add_reader(self._fd, self._read)
            if self._last:
                self._loop.call_soon(self._read)
        self._paused = False

    def end_when_empty(self) -> None:
        """Take what is there already, and end then, though others may hold the other end open."""
        self._last = True
        self._loop.call_soon(self._read)

    def close(self) -> None:
        """Read nothing more; whoever writes gets SIGPIPE, or a hang-up if it is a terminal."""
        if self.is_open:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._loop.call_soon(self._ended)

    def _read(self) -> None:
        if self._paused or not self.is_open:
            return
        try:
            chunk = os.read(self._fd, CHUNK)
        except BlockingIOError:
            if self._last:
                self.close()
            return
        except OSError:  # EIO: the last process has closed the terminal
            chunk = b""
        if not chunk:
            self.close()
            return
        self._deliver(chunk)
        if self._last:
            self._loop.call_soon(self._read)


class Inlet:
    """Writes to a descriptor what the channel delivers.

    Args:
        fd: to write; closed here.
        pause: stops the channel while the descriptor is full.
        resume: lets it go on.
        broken: called once when nobody reads the other end any more; what follows is dropped.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fd: int,
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._pause = pause
        self._resume = resume
        self._broken = broken
        self._chunks: deque[memoryview] = deque()
        self._waits = False
        self._resuming = False
        self._closing = False
        os.set_blocking(fd, False)

    def write(self, chunk: bytes) -> None:
        """Write, now or when there is room; drop it when nobody reads."""
        if self._fd < 0:
            return
        self._chunks.append(memoryview(chunk))
        if not self._waits:
            self._flush()

    def close_when_written(self) -> None:
        """Close after what is still waiting."""
        self._closing = True
        if not self._chunks:
            self.close()

    def close(self) -> None:
        """Close now, drop what is waiting, and let the channel go on."""
        if self._fd < 0:
            return
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._chunks.clear()
        self._go_on()

    def _flush(self) -> None:
        try:
            while self._chunks:
                rest = self._chunks[0][os.write(self._fd, self._chunks[0]) :]
                if rest:
                    self._chunks[0] = rest
                else:
                    self._chunks.popleft()
        except BlockingIOError:
            self._wait()
            return
        except OSError:  # EPIPE, or EIO of a terminal that was hung up
            self.close()
            self._broken()
            return
        if self._waits:
            self._loop.remove_writer(self._fd)
            self._go_on()
        # To resume may have brought the channel's next chunk, and its end.
        if self._closing and not self._chunks:
            self.close()

    def _wait(self) -> None:
        if self._waits:
            return
        self._waits = True
        self._loop.add_writer(self._fd, self._flush)
        if not self._resuming:
            self._pause()

    def _go_on(self) -> None:
        """Take all that waits in the channel, a window at most, before stopping it again.

        asyncssh (2.24) opens the whole window again with the first packet that it delivers, however
        many still wait. If we stopped there, each round would add a window to them.
        """
        self._waits = False
        self._resuming = True
        try:
            with suppress(OSError):
                self._resume()
        finally:
            self._resuming = False
        if self._waits:
            self._pause()
