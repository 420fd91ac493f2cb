"""What a clock that is off does, said in one sentence.

A token is not hurt by it, but TLS is; the hub's own time comes with each answer (the Date header,
RFC 9110, section 6.6.1).
"""

import sys

from kworkspace.cli.client.words import seconds

TOLERATED_SECONDS = 300.0


def complaint(offset: float | None) -> str:
    """Return what is wrong with this computer's clock and what to do; "" when nothing is.

    Args:
        offset: the hub's time minus ours, in seconds; None when it is not known.
    """
    if offset is None or abs(offset) <= TOLERATED_SECONDS:
        return ""
    direction = "behind" if offset > 0 else "ahead of"
    remedy = (
        "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "timedatectl set-ntp true"
    )
    return (
        f"this computer's clock is {seconds(abs(offset))} {direction} the hub's; set it: {remedy}"
    )
