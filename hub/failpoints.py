"""Named places at which a test kills the hub, before and after each commit and spawner call.

`KWORKSPACE_FAILPOINT=<name>` in the environment makes the process end itself with SIGKILL when it
comes by: nothing is flushed, no handler runs, as when the machine takes it away. Without the
variable a failpoint is one comparison.
"""

import os
import signal
from enum import StrEnum


class Failpoint(StrEnum):
    """Where. The order is that of a start followed by a stop."""

    START_REQUEST_BEFORE_COMMIT = "start-request-before-commit"
    START_REQUEST_AFTER_COMMIT = "start-request-after-commit"
    CLAIM_BEFORE_COMMIT = "claim-before-commit"
    CLAIM_AFTER_COMMIT = "claim-after-commit"
    SPAWNER_START_BEFORE = "spawner-start-before"
    SPAWNER_START_DURING = "spawner-start-during"
    SPAWNER_START_AFTER = "spawner-start-after"
    READY_BEFORE_COMMIT = "ready-before-commit"
    READY_AFTER_COMMIT = "ready-after-commit"
    START_FAILED_BEFORE_COMMIT = "start-failed-before-commit"
    START_FAILED_AFTER_COMMIT = "start-failed-after-commit"
    STOP_REQUEST_BEFORE_COMMIT = "stop-request-before-commit"
    STOP_REQUEST_AFTER_COMMIT = "stop-request-after-commit"
    SPAWNER_STOP_BEFORE = "spawner-stop-before"
    SPAWNER_STOP_AFTER = "spawner-stop-after"
    STOPPED_BEFORE_COMMIT = "stopped-before-commit"
    STOPPED_AFTER_COMMIT = "stopped-after-commit"
    SPAWNER_DELETE_BEFORE = "spawner-delete-before"
    SPAWNER_DELETE_AFTER = "spawner-delete-after"
    DELETED_BEFORE_COMMIT = "deleted-before-commit"
    DELETED_AFTER_COMMIT = "deleted-after-commit"
    EXIT_BEFORE_COMMIT = "exit-before-commit"
    EXIT_AFTER_COMMIT = "exit-after-commit"


_armed = os.environ.get("KWORKSPACE_FAILPOINT")


def failpoint(here: Failpoint) -> None:
    """End the process with SIGKILL if this failpoint is the armed one."""
    if _armed is not None and here == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
