"""The first moments of a workspace's process, be it its server or its monitor.

Imports nothing that is slow to import.
"""

import json
import os
import signal
from dataclasses import asdict

from kworkspace.spawners.local.state import Owner, Settings
from kworkspace.spawners.processes import boot_id, identify


def sign_lock(settings: Settings) -> Owner:
    """Write into the lock file who holds it, and keep the lock from everything started here."""
    process = identify(os.getpid())
    assert process is not None
    owner = Owner(
        id=settings.id,
        object_uid=settings.object_uid,
        pid=process.pid,
        started=process.started,
        boot=boot_id(),
    )
    # The lock belongs to the open file: a shell that inherited it would hold it after our end.
    keep_to_ourselves(settings.lock_fd, settings.ready_fd)
    os.ftruncate(settings.lock_fd, 0)
    os.pwrite(settings.lock_fd, json.dumps(asdict(owner)).encode(), 0)
    return owner


def keep_to_ourselves(*descriptors: int) -> None:
    """Hand what was inherited on to nobody."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)


def default_signals() -> None:
    """Undo what the hub ignores (nohup, say): it would stay ignored in every shell."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
