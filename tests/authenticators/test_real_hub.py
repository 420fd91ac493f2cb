"""Hub, gateway and OpenSSH, all real: a directory's keys, a CA's certificates, and `dummy`."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kworkspace.authenticators.keys import parse_public_key
from tests.authenticators.conftest import KINDS, certify, make_key
from tests.authenticators.test_directory import write
from tests.conftest import wait_until
from tests.echo import COMMAND, open_echo

MakeHub = Callable[..., Any]
SECONDS = 60


def person(hub: Any, name: str, key: Path, *command: str) -> list[str]:
    """An OpenSSH command line of somebody else's than the hub's usual user."""
    hub.user, hub.key = name, key
    line: list[str] = hub.ssh(*command)
    return line


def new_key(folder: Path, name: str) -> Path:
    """A key of a person."""
    make_key(folder / name, KINDS["ed25519"])
    return folder / name


def test_directory_and_certificates(make_hub: MakeHub, tmp_path: Path) -> None:
    """A removed file ends the session that its key opened; a certificate opens its principal's."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    bob, carol, authority = (new_key(tmp_path, name) for name in ("bob", "carol", "ca"))
    bobs = write(folder / "bob", bob.with_suffix(".pub").read_text())
    write(folder / "carol", "")
    certify(authority, carol.with_suffix(".pub"), principals="carol")
    hub = make_hub(
        gateway=True,
        extra=f"c.SSHKeyAuthenticator.authorized_keys_dir = {str(folder)!r}\n"
        f"c.SSHKeyAuthenticator.user_authorities = {f'{authority}.pub'!r}\n",
    )
    hub.start()
    session = open_echo(person(hub, "bob", bob, COMMAND))
    bobs.unlink()
    session.wait(SECONDS)  # nobody closes its input
    assert "no longer good" in session.communicate()[1]
    refused = subprocess.run(hub.ssh("true"), capture_output=True, check=False, timeout=SECONDS)
    assert refused.returncode == 255

    certified = person(hub, "carol", carol, "echo in")
    entered = subprocess.run(certified, capture_output=True, check=False, timeout=SECONDS)
    assert (entered.returncode, entered.stdout) == (0, b"in\n"), entered.stderr
    fingerprint = parse_public_key(authority.with_suffix(".pub").read_text()).fingerprint
    assert f"with CA {fingerprint}" in events(hub)
    other = person(hub, "alice", carol, "true")
    assert subprocess.run(other, capture_output=True, check=False, timeout=SECONDS).returncode > 0


def events(hub: Any) -> str:
    """What the audit log says."""
    with contextlib.closing(sqlite3.connect(hub.data_dir / "hub.sqlite")) as database:
        return str(database.execute("select message from events").fetchall())


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_dummy_listens_to_this_machine_alone(
    make_hub: MakeHub, tmp_path: Path, address: str
) -> None:
    extra = "c.Hub.authenticator_class = 'dummy'\n"
    hub = make_hub(gateway=True, extra=extra)
    if address == "0.0.0.0":
        config = hub.directory / "hub_config.py"
        config.write_text(config.read_text().replace("http://127.0.0.1", "http://0.0.0.0"))
        hub.launch()
        assert hub.process.wait(SECONDS) == 1
        (line,) = hub.log.read_text().splitlines()
        assert line.startswith(f"kworkspace-hub: {config}:2: c.Hub.bind_url: 'http://0.0.0.0:")
        return
    hub.start()
    line = person(hub, "zoe", new_key(tmp_path, "zoe"), "echo in")
    entered = subprocess.run(line, capture_output=True, check=False, timeout=SECONDS)
    assert (entered.returncode, entered.stdout) == (0, b"in\n"), entered.stderr
    wait_until(lambda: hub.server()["ready"], "zoe's workspace")
    assert "lets everybody on this machine in as anybody" in hub.log.read_text()
