"""TCP ports for servers that a test starts by themselves."""

import random
import socket
from contextlib import suppress

# Below those that the kernel hands out (Linux: 32768 and more), to clients too: until the server
# listens, nobody else happens to get it.
_FIRST, _LAST = 10_000, 32_000
_chance = random.SystemRandom()


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    for _ in range(1000):
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")
