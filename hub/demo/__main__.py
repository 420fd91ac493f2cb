"""Writes the demo's files, tells how to go on as soon as the hub is up, and becomes the hub.

A hub_config.py that is there already is its owner's: it is read for the addresses, and never
written. As the process becomes the hub, signals and exit code are the hub's own.
"""

import argparse
import os
import pwd
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from kworkspace.cli.client import calls
from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.models import Health, SSHDoor
from kworkspace.cli.client.names import parse_user_name
from kworkspace.cli.client.sync import Client
from kworkspace.hub.demo.addresses import (
    PORT,
    SSH_PORT,
    Addresses,
    DemoUnfit,
    check_ports,
    configured,
)
from kworkspace.hub.demo.files import cli_toml, hub_config, known_hosts, ssh_config
from kworkspace.hub.demo.keys import find_keys
from kworkspace.hub.files import HubLock

START_SECONDS = 60.0
POLL_SECONDS = 0.1
_UNFIT_FOR_SSH = re.compile(r"[\x00-\x1f\x7f]|\$\{")

HOW_TO_GO_ON = """
kworkspace is up. In another terminal:

{commands}

Ctrl-C ends hub and gateway; workspaces that run go on running, and the next start finds them.
To end it for good: kworkspace stop, Ctrl-C, and delete the directory.
The hub's configuration is {hub_config}: change it and start again.
"""


def choose_addresses(directory: Path, port: int | None, ssh_port: int | None) -> Addresses:
    """Return where hub and gateway will be: what was asked for, else what hub_config.py says.

    Raises:
        DemoUnfit: a port is taken.
    """
    config = directory / "hub_config.py"
    at = configured(config) if config.exists() else Addresses(PORT, SSH_PORT)
    at = Addresses(port or at.port, ssh_port or at.ssh_port, at.base)
    check_ports(directory, at)
    return at


def refuse_second(directory: Path) -> None:
    """See, before a file is touched, that no other demo runs in the directory.

    Raises:
        DemoUnfit: one does.
    """
    file = directory / "hub.sqlite.lock"
    if not file.exists():
        return
    lock = HubLock(file)
    if not lock.acquire():
        raise DemoUnfit(
            f"a demo runs in {directory} already: use that one, or run another beside it with"
            " --data-dir, --port and --ssh-port"
        )
    lock.release()


def prepare(directory: Path, user: str, at: Addresses) -> None:
    """Write the files, but for the pinned host key, which the hub tells when it is up.

    Args:
        directory: where; made if need be.
        user: whose hub it is.
        at: where hub and gateway will be.

    Raises:
        OSError: the directory or a file in it cannot be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = find_keys(directory, Path.home(), user)
    config = directory / "hub_config.py"
    if not config.exists():
        text = hub_config(
            file=config,
            data_dir=directory,
            user=user,
            keys=keys.lines,
            port=at.port,
            ssh_port=at.ssh_port,
            commands=[*_settings(directory), "kworkspace connect", _ssh(directory)],
        )
        _write(config, text)
    text = cli_toml(api=at.url, user=user, state_dir=directory / "cli", ssh_key_path=keys.named)
    _write(directory / "cli.toml", text)
    text = ssh_config(
        user=user,
        port=at.ssh_port,
        known_hosts=directory / "known_hosts",
        identities=keys.identities,
        identities_only=keys.fresh,
    )
    _write(directory / "ssh_config", text)


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


def announce(directory: Path, at: Addresses, hub: int) -> None:
    """Wait until the hub is up, pin the gateway's host key and tell how to go on.

    Args:
        directory: the demo's.
        at: where the hub will be.
        hub: the pidfd of its process; when that has ended there is nothing to tell.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        door = _door(at)
        if door is not None:
            _write(directory / "known_hosts", known_hosts(door))
            print(_how_to_go_on(directory, at), flush=True)
            return
        ended, _, _ = select.select([hub], [], [], POLL_SECONDS)
        if ended:
            return
    print(f"The hub is not up after {START_SECONDS:.0f} s; its log above says why", flush=True)


def _door(at: Addresses) -> SSHDoor | None:
    """Return the gateway's door once the hub is ready and the gateway has reported itself."""
    try:
        with Client(f"http://127.0.0.1:{at.port}") as client:
            if not client.send(Call("GET", "/health", Health)).ready:
                return None
        with Client(at.url) as client:
            return client.send(calls.root()).ssh
    except KworkspaceError:
        return None


def _how_to_go_on(directory: Path, at: Addresses) -> str:
    told = {
        "kworkspace connect": "starts the workspace if need be, then a shell in it",
        _ssh(directory): "the same with nothing but OpenSSH (host key pinned, no question asked)",
        at.url: "says what is running and how to go on",
    }
    width = max(len(command) for command in told)
    commands = [
        *_settings(directory),
        *(f"{command:<{width}}   # {what}" for command, what in told.items()),
    ]
    return HOW_TO_GO_ON.format(
        commands="\n".join(f"    {command}" for command in commands),
        hub_config=directory / "hub_config.py",
    )


def _settings(directory: Path) -> list[str]:
    """What a shell needs before the command works."""
    return [
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
        f"export KWORKSPACE_CONFIG={shlex.quote(str(directory / 'cli.toml'))}",
    ]


def _ssh(directory: Path) -> str:
    return f"ssh -F {shlex.quote(str(directory / 'ssh_config'))} demo"


def become_hub(directory: Path, at: Addresses, options: list[str]) -> NoReturn:
    """Announce beside, and be the hub from here on.

    The announcing process is nobody's child, so that the hub is never told of its end.
    """
    hub = os.pidfd_open(os.getpid())
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            announce(directory, at, hub)
        os._exit(0)
    os.waitpid(child, 0)
    program = str(Path(sys.executable).with_name("kworkspace-hub"))
    command = [program, "-f", str(directory / "hub_config.py"), *options]
    os.execv(program, command)  # noqa: S606 - no shell is wanted


def demo(directory: Path, port: int | None, ssh_port: int | None) -> NoReturn:
    """Prepare the directory and become the hub.

    Raises:
        KworkspaceError: what the person can mend.
        OSError: a file cannot be written.
    """
    if _UNFIT_FOR_SSH.search(str(directory)):
        raise DemoUnfit("--data-dir: ssh cannot read a path with control characters or '${' in it")
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise DemoUnfit("your account has no name: it is not in /etc/passwd") from None
    user = parse_user_name(name, f"your account's name, '{name}', does not do here")
    refuse_second(directory)
    at = choose_addresses(directory, port, ssh_port)
    prepare(directory, user, at)
    options = [] if port is None else [f"--Hub.bind_url=http://127.0.0.1:{port}"]
    options += [] if ssh_port is None else [f"--Hub.ssh_bind_url=ssh://127.0.0.1:{ssh_port}"]
    become_hub(directory, at, options)


def main(arguments: list[str]) -> NoReturn:
    """Parse the command line; what a person can mend is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="xtask demo", description="Runs a hub for you alone.")
    parser.add_argument("--data-dir", metavar="DIR", default=".demo", help="where everything is")
    parser.add_argument("--port", type=port_number, help=f"of the page and REST (default {PORT})")
    parser.add_argument("--ssh-port", type=port_number, help=f"of the gateway (default {SSH_PORT})")
    given = parser.parse_args(arguments)
    try:
        demo(Path(given.data_dir).absolute(), given.port, given.ssh_port)
    except KworkspaceError as error:
        sys.exit(f"demo: {error}")
    except OSError as error:
        sys.exit(f"demo: {error.filename}: {error.strerror}; name another folder with --data-dir")
    except subprocess.CalledProcessError as error:
        sys.exit(f"demo: {error.cmd[0]} ended with exit code {error.returncode}")


def port_number(text: str) -> int:
    """Return a TCP port."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: 1 to 65535")
    return int(text)


if __name__ == "__main__":
    main(sys.argv[1:])
