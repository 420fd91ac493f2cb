"""Runs the SSH server of one workspace from its first moment to its last."""

import asyncio
import json
import logging
import os
import signal
from contextlib import aclosing, suppress
from dataclasses import asdict
from pathlib import Path

import asyncssh

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.local.files import write_atomically
from kworkspace.spawners.local.server.account import Account, base_environment
from kworkspace.spawners.local.server.children import Children
from kworkspace.spawners.local.server.login import Login
from kworkspace.spawners.local.server.place import enter_home, find_place
from kworkspace.spawners.local.server.session import Host
from kworkspace.spawners.local.state import ADDRESS, READY, Owner, Paths, Settings, State
from kworkspace.spawners.processes import descendants, send
from kworkspace.ssh.algorithms import modern_algorithms
from kworkspace.ssh.version import SERVER_VERSION

log = logging.getLogger(__name__)

_LOGIN_SECONDS = 60.0
_FAREWELL_SECONDS = 1.0
_POLL_SECONDS = 0.05
_UNKILLABLE_SECONDS = 5.0


def run(settings: Settings, owner: Owner | None) -> None:
    """Serve until SIGTERM; what goes wrong before it listens goes to the spawner in one line.

    Args:
        settings: of the workspace.
        owner: this process; None for a sealed server, whose monitor is the owner.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(settings, owner))
    except (OSError, ValueError, asyncssh.Error) as error:
        log.exception("The workspace's SSH server failed")
        _report(settings.ready_fd, f"{error}\n".encode())
        raise SystemExit(1) from None


def _report(fd: int, line: bytes) -> None:
    # A hub that was killed meanwhile has closed its end; the next one finds the state file.
    with suppress(OSError):
        os.write(fd, line)
        os.close(fd)


async def _serve(settings: Settings, owner: Owner | None) -> None:
    loop = asyncio.get_running_loop()
    paths = Paths(Path(settings.root))
    place = find_place(settings)
    home = enter_home(settings)
    account = Account.own() if settings.given is None else Account.named(settings.given.account)
    host = Host(
        loop=loop,
        account=account,
        home=home,
        environment=base_environment(settings, account, home),
        children=Children(loop),
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    connections: set[asyncssh.SSHServerConnection] = set()

    def connected() -> Login:
        place.host_key.look()
        return Login(host, place.authorized_keys, connections)

    acceptor = await asyncssh.listen(
        sock=place.listening,
        server_factory=connected,
        server_host_keys=[place.host_key.read()],
        server_version=SERVER_VERSION,
        login_timeout=_LOGIN_SECONDS,
        password_auth=False,
        kbdint_auth=False,
        gss_host=None,
        x11_forwarding=False,
        encoding=None,
        line_editor=False,
        **modern_algorithms(),
    )
    if owner is not None:
        state = State(
            **asdict(owner),
            slug=settings.slug,
            host=ADDRESS,
            port=acceptor.get_port(),
            host_key=settings.host_key,
            account=account.name,
        )
        write_atomically(paths.state, json.dumps(asdict(state)))
    log.info("Listening on %s:%d", ADDRESS, acceptor.get_port())
    _report(settings.ready_fd, f"{READY}\n".encode())
    async with aclosing(Tasks()) as tasks:
        tasks.spawn(place.host_key.keep(acceptor), "follow the host certificate")
        await stop.wait()
    log.info("Stopping")
    host.stopping = True
    acceptor.close()
    await _end_everything(host, settings.stop_seconds)
    await _say_farewell(host, connections)
    if owner is not None:
        paths.state.unlink(missing_ok=True)
    log.info("Stopped")


async def _end_everything(host: Host, seconds: int) -> None:
    """Tell the sessions, hang up, terminate, and kill after the grace what is left."""
    for session in tuple(host.sessions):
        session.tell("This workspace is being stopped.")
        session.hang_up()
    own = os.getpid()
    for process in descendants(own):
        send(process, signal.SIGTERM)
        send(process, signal.SIGCONT)  # a stopped job gets the other signal when it goes on
    loop = asyncio.get_running_loop()
    grace = loop.time() + seconds
    patience = grace + _UNKILLABLE_SECONDS
    while (left := descendants(own)) and loop.time() < patience:
        if loop.time() >= grace:
            for process in left:
                send(process, signal.SIGKILL)
        host.children.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await host.children.changed.wait()


async def _say_farewell(host: Host, connections: set[asyncssh.SSHServerConnection]) -> None:
    """Let the last output and the exit statuses leave, then close."""
    host.children.reap()
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            while host.sessions:
                host.session_ended.clear()
                await host.session_ended.wait()
    closing = tuple(connections)
    for connection in closing:
        connection.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            for connection in closing:
                await connection.wait_closed()
