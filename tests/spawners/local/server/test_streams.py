"""The pumps, at their edges: what comes while they are paused, closing, or already broken."""

import asyncio
import os

from kworkspace.spawners.local.server.streams import CHUNK, Inlet, Outlet


class Channel:
    """What an inlet needs of a channel: delivers again, from inside `resume`, as asyncssh does."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.paused = False
        self.broken = 0
        self.inlet: Inlet | None = None

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        assert self.inlet is not None
        while self.chunks and not self.paused:
            self.inlet.write(self.chunks.pop(0))
        if not self.chunks:
            self.inlet.close_when_written()

    def note_broken(self) -> None:
        self.broken += 1


def _inlet(chunks: list[bytes]) -> tuple[Channel, Inlet, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    channel = Channel(chunks)
    inlet = Inlet(
        asyncio.get_running_loop(),
        write,
        pause=channel.pause,
        resume=channel.resume,
        broken=channel.note_broken,
    )
    channel.inlet = inlet
    return channel, inlet, read


async def _read_all(fd: int) -> bytes:
    received = b""
    async with asyncio.timeout(10):
        while True:
            await asyncio.sleep(0)
            try:
                chunk = os.read(fd, 10_000)
            except BlockingIOError:
                continue
            if not chunk:
                os.close(fd)
                return received
            received += chunk


async def test_an_end_that_comes_while_the_reader_is_slow_loses_nothing() -> None:
    blob = os.urandom(300_000)
    channel, inlet, read = _inlet([blob[100_000:200_000], blob[200_000:]])
    inlet.write(blob[:100_000])
    assert channel.paused
    assert await _read_all(read) == blob
    assert channel.broken == 0


async def test_a_reader_that_is_gone_is_noticed_once_and_the_rest_is_dropped() -> None:
    channel, inlet, read = _inlet([b"more"] * 3)
    os.close(read)
    inlet.write(b"lost")
    inlet.write(b"lost")
    inlet.close()
    assert channel.broken == 1
    assert channel.chunks == []


async def test_an_outlet_reads_nothing_while_it_is_paused() -> None:
    read, write = os.pipe()
    received: list[bytes] = []
    ended = asyncio.Event()
    outlet = Outlet(asyncio.get_running_loop(), read, received.append, ended.set)
    outlet.pause()
    os.write(write, b"x" * CHUNK)
    for _ in range(5):
        await asyncio.sleep(0)
    assert received == []
    outlet.resume()
    os.close(write)
    await asyncio.wait_for(ended.wait(), 10)
    assert b"".join(received) == b"x" * CHUNK


async def test_an_outlet_that_shall_end_takes_what_is_there_though_it_was_paused() -> None:
    read, write = os.pipe()
    received: list[bytes] = []
    ended = asyncio.Event()
    outlet = Outlet(asyncio.get_running_loop(), read, received.append, ended.set)
    os.write(write, b"last words")
    outlet.pause()
    outlet.end_when_empty()
    await asyncio.sleep(0)
    assert not ended.is_set()
    outlet.resume()
    await asyncio.wait_for(ended.wait(), 10)
    os.close(write)
    assert received == [b"last words"]
