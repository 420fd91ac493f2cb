"""Says who it is before anything slow is imported, so that a start that hangs can be killed."""

import os
import sys
from importlib import import_module

from kworkspace.spawners.local.begin import default_signals, keep_to_ourselves, sign_lock
from kworkspace.spawners.local.sealed import check_sealed
from kworkspace.spawners.local.state import Settings


def main() -> None:
    """Run one workspace until SIGTERM."""
    settings = Settings.parse(sys.argv[1])
    if settings.given is None:
        owner = sign_lock(settings)
    else:
        owner = None
        keep_to_ourselves(settings.ready_fd)
        check_sealed(settings.given)
    default_signals()
    os.umask(0o022)
    import_module("kworkspace.spawners.local.server.serve").run(settings, owner)


if __name__ == "__main__":
    main()
