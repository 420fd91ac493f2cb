"""What the hub's options say of sessions, at whichever gateway they are.

Made once by `run`, from `c.Hub.*`; what the hub cannot see to itself it tells the gateways.
"""

from dataclasses import dataclass

from kworkspace.cli.client.models import StartOnConnect


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """The rules.

    Attributes:
        start_on_connect: which channels start a workspace that does not run.
        most_of_user: sessions that one person may have at one time; 0: no limit.
        x11_forwarding: whether windows of a workspace may be shown on its user's screen.
        idle_seconds: a session without input and output for so long is ended; 0: never.
    """

    start_on_connect: StartOnConnect = "always"
    most_of_user: int = 64
    idle_seconds: int = 0
    x11_forwarding: bool = False
