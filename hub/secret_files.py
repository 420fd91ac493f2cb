"""The hub's own secrets, each in a file (0600) that is made at the first start.

Hubs that share a data directory may start at once: whoever comes first makes them, the others wait
and read. Hubs that share a database alone must be given the same ones (`hub.presence`).
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kworkspace.hub.ca import DoorKey, HostAuthority, UserAuthority
from kworkspace.hub.clock import Clock
from kworkspace.hub.config import HubOptions
from kworkspace.hub.files import HubLock, read_secret, write_secret
from kworkspace.hub.leases import machine
from kworkspace.hub.presence import Shared
from kworkspace.hub.tokens import new_secret
from kworkspace.spawners.local import LocalSpawner


@dataclass(frozen=True, slots=True)
class Secrets:
    """All of them.

    Attributes:
        cookie: signs challenges.
        admin_token: of the machine's admin.
        authority: signs the gateway's keys.
        host_authority: signs host keys.
        door_key: the gateway's host key.
    """

    cookie: str
    admin_token: str
    authority: UserAuthority
    host_authority: HostAuthority
    door_key: DoorKey


def load(options: HubOptions, clock: Clock) -> Secrets:
    """Read the secrets, or make them; blocks while another hub makes them.

    Raises:
        KworkspaceError: a file cannot be used.
    """
    data_dir = Path(options.data_dir)
    with locked(data_dir):
        return Secrets(
            cookie=secret(Path(options.cookie_secret_file), secrets.token_hex(32)),
            admin_token=secret(data_dir / "admin_token", new_secret()),
            authority=UserAuthority.load(Path(options.user_ca_file), clock),
            host_authority=HostAuthority.load(Path(options.host_ca_file), clock),
            door_key=DoorKey.load(Path(options.gateway_host_key_file)),
        )


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Let nobody else of this machine change the secrets meanwhile.

    Raises:
        FileUnusable: the directory cannot be used.
    """
    lock = HubLock(data_dir / "secrets.lock")
    lock.acquire(wait=True)
    try:
        yield
    finally:
        lock.release()


def secret(file: Path, new: str) -> str:
    """Return the secret of a file, which becomes the new one if there is none.

    Raises:
        FileUnusable: it cannot be read or written.
    """
    known = read_secret(file)
    if known is None:
        write_secret(file, new)
        return new
    return known


def shared(options: HubOptions, secrets: Secrets) -> list[Shared]:
    """Return what all hubs on one database must have the same of."""
    place = f"{machine()} {options.data_dir}"
    local = issubclass(options.spawner_class, LocalSpawner)
    return [
        _same_file(Path(options.cookie_secret_file), secrets.cookie),
        _same_file(Path(options.user_ca_file), secrets.authority.origin),
        _same_file(Path(options.gateway_host_key_file), secrets.door_key.public_key),
        Shared(
            place if local else "anywhere",
            "Hubs of a spawner that works on one machine must share it and c.Hub.data_dir, which is"
            f" {options.data_dir} here: another hub on the database has another place or spawner",
        ),
        _same_file(Path(options.host_ca_file), secrets.host_authority.origin),
    ]


def _same_file(file: Path, text: str) -> Shared:
    return Shared(
        text,
        f"The other hubs on the database have another secret than {file}:"
        " copy theirs over it, so that all have the same",
    )
