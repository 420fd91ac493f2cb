"""Names of workspaces and profiles for a shell that completes a line: at once, or not at all.

Asked from the hub, when a kept token allows that without a question. Whatever goes wrong is
silence: the person is in the middle of a line. Loaded while a shell completes, and never else.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from io import StringIO

from kworkspace.cli.client import calls
from kworkspace.cli.client.sync import Client
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.tokens import TokenCache

SECONDS = 1.0


def workspace_names(flags: Flags, start: str) -> list[str]:
    """Return the named workspaces that begin with what is typed.

    Args:
        flags: of the line, as far as it is typed.
        start: the beginning of a name.
    """

    def ask(client: Client, settings: Settings) -> Iterable[str]:
        return client.send(calls.get_user(settings.user)).servers

    return _asked(flags, start, ask)


def profile_names(flags: Flags, start: str) -> list[str]:
    """Return the profiles that begin with what is typed."""
    return _asked(
        flags, start, lambda client, _: (one.slug for one in client.send(calls.profiles()))
    )


def profile_choices(flags: Flags, profile: str | None, start: str) -> list[str]:
    """Return the choices, as NAME=VALUE, that begin with what is typed.

    Args:
        flags: of the line, as far as it is typed.
        profile: that the line names; None is the default one.
        start: the beginning of a choice.
    """

    def ask(client: Client, _: Settings) -> Iterable[str]:
        return [
            f"{option.name}={value}"
            for one in client.send(calls.profiles())
            if (one.slug == profile if profile else one.default)
            for option in one.options
            for value in option.choices
        ]

    return _asked(flags, start, ask)


def _asked(flags: Flags, start: str, ask: Callable[[Client, Settings], Iterable[str]]) -> list[str]:
    found: list[str] = []
    # A thread, because the look-up of a host's name has no time limit of its own.
    thread = threading.Thread(target=_ask, args=(flags, ask, found), daemon=True)
    with redirect_stderr(StringIO()):
        thread.start()
        thread.join(SECONDS)
    return sorted(name for name in list(found) if name and name.startswith(start))


def _ask(flags: Flags, ask: Callable[[Client, Settings], Iterable[str]], found: list[str]) -> None:
    try:
        settings = load(flags)
        stored = TokenCache(settings).fresh()
        if stored is None:
            return
        with Client(
            settings.api, ca_file=settings.ca_file, token=stored.token, seconds=SECONDS
        ) as client:
            found += ask(client, settings)
    except Exception:  # noqa: BLE001, S110 - a traceback in the middle of a line helps nobody
        pass
