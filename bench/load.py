"""A load of HTTP GETs over connections that stay open, light enough not to be what is measured."""

import asyncio
from collections.abc import Sequence
from time import perf_counter


async def _ask(port: int, requests: Sequence[bytes], first: int, until: float) -> int:
    """Send one request after the other until the time is over; return how many were answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    try:
        while perf_counter() < until:
            writer.write(requests[(first + answered) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            status, _, rest = head.partition(b"\r\n")
            if b" 200 " not in status:
                raise RuntimeError(f"the answer was {status.decode()}")
            length = rest.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            answered += 1
    finally:
        writer.close()
        await writer.wait_closed()
    return answered


async def _load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> float:
    start = perf_counter()
    step = max(1, len(requests) // connections)
    asks = (_ask(port, requests, index * step, start + seconds) for index in range(connections))
    answered = sum(await asyncio.gather(*asks))
    return answered / (perf_counter() - start)


def requests_per_second(
    port: int, paths: Sequence[str], token: str, *, connections: int, seconds: float
) -> float:
    """Return the rate of answers, all of them 200.

    Args:
        port: of 127.0.0.1.
        paths: asked for in turns.
        token: an API token.
        connections: open at once.
        seconds: how long.
    """
    common = f"Host: 127.0.0.1:{port}\r\nAuthorization: token {token}\r\n\r\n"
    requests = [f"GET {path} HTTP/1.1\r\n{common}".encode() for path in paths]
    return asyncio.run(_load(port, requests, connections, seconds))
