"""What one gateway process takes, and how long it waits: the settings of `config` that bound it.

What holds for a user at all gateways together is counted at the hub, not here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds.

    Attributes:
        login_grace: seconds within which who connects must have logged in.
        strangers: connections that may be without a login at one time.
        strangers_per_address: how many of these may come from one address; an IPv6 network of 64
            bits counts as one.
        drain: seconds that sessions may go on after the gateway was told to end.
    """

    login_grace: int = 30
    strangers: int = 500
    strangers_per_address: int = 50
    drain: int = 10
