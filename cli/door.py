"""The gateway's door, and the keys to offer there: for `connect` and `ssh-config`."""

import time
from collections.abc import Callable
from pathlib import Path

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.models import SSHDoor
from kworkspace.cli.client.sync import Client
from kworkspace.cli.keys import default_files, named_key
from kworkspace.cli.settings import Settings
from kworkspace.cli.signin import kept_key

DOOR_SECONDS = 15.0
POLL_SECONDS = 0.5


def await_door(client: Client, show: Callable[[str], None]) -> SSHDoor:
    """Return where the gateway is; a hub that was started just now does not know it at once.

    Args:
        client: of the hub.
        show: tells the person that it takes a while.

    Raises:
        Unavailable: no gateway has reported itself within DOOR_SECONDS.
    """
    deadline = time.monotonic() + DOOR_SECONDS
    while (door := client.send(calls.root()).ssh) is None:
        if time.monotonic() > deadline:
            raise Unavailable("the hub's SSH gateway is not up; try again later, or ask its admin")
        show("waiting for the SSH gateway")
        time.sleep(POLL_SECONDS)
    return door


def offered_keys(settings: Settings) -> list[Path]:
    """Return the one key of the settings, or the one that the hub accepted and the default ones.

    ssh offers its default identities only when it is given no other, and a gateway does not wait
    until an agent full of keys comes to the right one.
    """
    if settings.ssh_key_path is not None:
        return [named_key(settings.ssh_key_path).path]
    kept = kept_key(settings)
    if kept is None or not kept.is_file():
        return []
    return [kept, *(path for path in default_files() if path != kept)]
