"""Whether a tunnel is in use, told by how much passes through it: what it is nobody sees.

Keepalives of ssh and sshd, some hundred bytes now and then, are no use; somebody who types, and
sees what they typed, is. `tunnel` asks, for the hub, which ends or stops what is idle.
"""

ENOUGH_BYTES = 512
KEEPALIVE_BYTES_PER_SECOND = 20.0
"""What is taken for keepalives: one each way every 7 s or less often."""


class Use:
    """When it was used last.

    Args:
        now: seconds of a clock that only goes forward; a new tunnel is in use.

    Attributes:
        last: when it was, by that clock.
    """

    def __init__(self, now: float) -> None:
        self.last = now
        self._seen = now
        self._level = 0.0

    def passed(self, size: int, now: float) -> None:
        """Take note of bytes in either direction."""
        kept_alive = (now - self._seen) * KEEPALIVE_BYTES_PER_SECOND
        self._level = min(max(0.0, self._level - kept_alive) + size, 2 * ENOUGH_BYTES)
        self._seen = now
        if self._level >= ENOUGH_BYTES:
            self.last = now
