"""`kworkspace-hub upgrade-db`: an older database is brought to this version, after a copy of it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from traitlets import Bool

from kworkspace.hub.app import Hub
from kworkspace.hub.clock import utc_now
from kworkspace.hub.db.migrate import REVISION
from kworkspace.hub.db.upgrade import upgrade
from kworkspace.hub.files import make_directory
from kworkspace.hub.presence import lock_database


class UpgradeApp(Hub):
    """Brings the database of an older version to this one."""

    name = "kworkspace-hub upgrade-db"
    description = "Bring the database of an older version to this one; a copy is made first."
    examples = "kworkspace-hub upgrade-db -f hub_config.py"
    subcommands: dict[str, Any] = {}
    flags = {
        "no-copy": (
            {"UpgradeApp": {"copy": False}},
            "Make no copy first: there is one by other means.",
        ),
    }

    copy = Bool(True, help="Whether a copy is made first.").tag(config=True)

    def _run(self) -> None:
        asyncio.run(self._upgrade())

    async def _upgrade(self) -> None:
        directory = Path(self.data_dir)
        make_directory(directory)
        lock = lock_database(self)
        try:
            done = await upgrade(self.db_url, copies=directory, copy=self.copy, clock=utc_now)
        finally:
            if lock is not None:
                lock.release()
        if done.before is None:
            said = f"{done.name} is empty: the first start of the hub makes its tables"
        elif done.before == REVISION:
            said = f"{done.name} is of this version already (revision {REVISION})"
        else:
            said = f"{done.name} is upgraded from revision {done.before} to {REVISION}"
        if done.copy is not None:
            said = f"Made the copy {done.copy}\n{said}"
        sys.stdout.write(f"{said}\n")
