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
    """

    start_on_connect: StartOnConnect = "always"
