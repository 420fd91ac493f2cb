"""What counts as use of a tunnel."""

import pytest

from kworkspace.gateway.use import Use

HOUR = 3600
KEY = 36  # bytes of a packet of one character, with aes128-gcm@openssh.com
KEEPALIVE = 52 + 36


@pytest.mark.parametrize(
    ("size", "every", "used"),
    [
        (KEEPALIVE, 15, False),
        (KEEPALIVE, 60, False),
        (2 * KEEPALIVE, 15, False),  # both sides ask
        (2 * KEY, 0.3, True),  # somebody types slowly
        (2 * KEY + 3000, 60, True),  # they page through a text
        (1_000_000, 600, True),
    ],
)
def test_use(size: int, every: float, used: bool) -> None:
    use = Use(0.0)
    times = [every * i for i in range(1, int(HOUR / every))]
    for now in times:
        use.passed(size, now)
    assert (times[-1] - use.last < 60) is used


def test_a_pause_ends_the_use() -> None:
    """What was much does not make the keepalives after it count."""
    use = Use(0.0)
    use.passed(10_000_000, 1.0)
    for now in range(16, HOUR, 15):
        use.passed(KEEPALIVE, float(now))
    assert use.last < 60
