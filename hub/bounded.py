"""Keeps the log that a service writes from filling the disk, while the service goes on writing it.

The file is the service's standard output, opened by the hub for appending (open(2), O_APPEND): so
it can be copied and cut to nothing under the writer, which then goes on at its new end. What is
written between the two is lost.
"""

import os
import shutil
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024


def bound_log(file: Path) -> None:
    """Set the log aside under the same name with `.1` if it has grown too large.

    Raises:
        OSError: it cannot be copied; it is left as it is.
    """
    try:
        if file.stat().st_size < MAX_BYTES:
            return
    except FileNotFoundError:
        return
    shutil.copyfile(file, file.with_name(f"{file.name}.1"), follow_symlinks=False)
    os.truncate(file, 0)
