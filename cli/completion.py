"""The names of workspaces for a shell that completes a command line: at once, or not at all.

Asked from the hub, when a kept token allows that without a question. Whatever goes wrong is
silence: the person is in the middle of a line. Loaded while a shell completes, and never else.
"""

import threading
from contextlib import redirect_stderr
from io import StringIO

from kworkspace.cli.client import calls
from kworkspace.cli.client.sync import Client
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.tokens import TokenCache

SECONDS = 1.0


def workspace_names(flags: Flags, start: str) -> list[str]:
    """Return the named workspaces that begin with what is typed.

    Args:
        flags: of the line, as far as it is typed.
        start: the beginning of a name.
    """
    found: list[str] = []
    # A thread, because the look-up of a host's name has no time limit of its own.
    thread = threading.Thread(target=_ask, args=(flags, found), daemon=True)
    with redirect_stderr(StringIO()):
        thread.start()
        thread.join(SECONDS)
    return sorted(name for name in list(found) if name.startswith(start))


def _ask(flags: Flags, found: list[str]) -> None:
    try:
        settings = load(flags)
        stored = TokenCache(settings).fresh()
        if stored is None:
            return
        with Client(
            settings.api, ca_file=settings.ca_file, token=stored.token, seconds=SECONDS
        ) as client:
            servers = client.send(calls.get_user(settings.user)).servers
        found += [name for name in servers if name]
    except Exception:  # noqa: BLE001, S110 - a traceback in the middle of a line helps nobody
        pass
