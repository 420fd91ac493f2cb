"""`python -m kworkspace.gateway`: the gateway as a service process."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.app import serve
from kworkspace.gateway.config import parse
from kworkspace.gateway.texts import plain, set_up_logging
from kworkspace.gateway.workers import run_workers

log = logging.getLogger("kworkspace.gateway")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit status: 0 ended as told, 1 could not run."""
    # The token comes by file; nothing that runs in here needs to find it in the environment.
    for name in ("KWORKSPACE_API_TOKEN", "JUPYTERHUB_API_TOKEN"):
        os.environ.pop(name, None)
    argv = sys.argv[1:] if argv is None else argv
    settings = parse(argv)
    set_up_logging(settings.log_level, settings.log_format)
    try:
        if settings.workers > 1:
            return asyncio.run(run_workers(settings, argv))
        asyncio.run(serve(settings))
    except KworkspaceError as error:
        sys.stderr.write(f"gateway: {plain(error.message)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
