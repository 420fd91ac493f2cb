"""The wiring of one gateway process: settings in, a listening door, an orderly end.

It is tied to no parent: the hub that started it may be killed, and the next hub finds it by its
reports. SIGTERM and SIGINT end it: it takes nobody any more, lets sessions go on for a while, and
ends what is left; a second one ends it at once. A worker (`workers`) also ends with its parent.
"""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import uuid

import asyncssh

from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.config import Settings
from kworkspace.gateway.door import Visitor
from kworkspace.gateway.host_certificate import keep_certified
from kworkspace.gateway.host_key import load_or_make, public_line
from kworkspace.gateway.house import House
from kworkspace.gateway.tunnel_port import TunnelPort
from kworkspace.ssh.algorithms import modern_algorithms
from kworkspace.ssh.version import SERVER_VERSION

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 15
BACKLOG = 512
AT_ONCE = 16
"""Connections that are taken before sessions have their turn: asyncio knows one number for both."""


async def serve(settings: Settings) -> None:
    """Run a gateway until it is told to end.

    Raises:
        KworkspaceError: it cannot start; one line says why and what to do.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()

    def end() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, end)
    if settings.is_worker:
        _end_with_parent(stop)
    host_key = load_or_make(settings.host_key)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # two for each session
    async with _client(settings) as hub:
        house = House(
            hub=hub, instance=str(uuid.uuid4()), host_key=host_key, limits=settings.limits
        )
        loop.add_signal_handler(signal.SIGUSR1, house.log_state)
        acceptor = await _listen(settings, host_key, house)
        door = m.SSHDoor(
            host=settings.public_host,
            port=settings.public_port or acceptor.get_port(),
            host_keys=[public_line(host_key)],
        )
        log.info("Listening on %s port %s", settings.listen_host, acceptor.get_port())
        tunnels = _listen_for_tunnels(settings, house)
        house.begin(door, tunnels.port if tunnels else None)
        house.tasks.spawn(keep_certified(hub, host_key, acceptor), "keep the host certificate")
        await stop.wait()
        log.info("Shutting down")
        acceptor.close()
        if tunnels:
            await tunnels.close()
        await house.drain(settings.limits.drain, at_once)
        await house.aclose()
        if tunnels:
            await tunnels.aclose()
    log.info("Ended")


def _end_with_parent(stop: asyncio.Event) -> None:
    """Stop when the standard input ends, which the parent holds open."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, readable)


def _client(settings: Settings) -> AsyncClient:
    try:
        return AsyncClient(settings.api_url, settings.token_file)
    except OSError as error:
        raise KworkspaceError(
            f"The token file {settings.token_file} cannot be read: {error.strerror}. Name the file"
            " with this gateway's API token with --token-file."
        ) from error


def _listen_for_tunnels(settings: Settings, house: House) -> TunnelPort | None:
    if settings.tunnel_listen is None:
        return None
    host, port = settings.tunnel_listen
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(
            (host, port), family=family, backlog=BACKLOG, reuse_port=settings.is_worker
        )
    except OSError as error:
        raise KworkspaceError(
            f"Cannot listen for tunnels on {host} port {port}: {error.strerror or error}. Choose"
            " another address with --tunnel-listen."
        ) from error
    tunnels = TunnelPort(
        house, listener, settings.limits.login_grace, trusted=settings.trusted_proxies
    )
    log.info("Listening for tunnels on %s port %s", host, tunnels.port)
    return tunnels


async def _listen(
    settings: Settings, host_key: asyncssh.SSHKey, house: House
) -> asyncssh.SSHAcceptor:
    try:
        acceptor = await asyncssh.listen(
            settings.listen_host,
            settings.listen_port,
            config=None,
            server_factory=lambda: Visitor(house),
            server_host_keys=[host_key],
            server_version=SERVER_VERSION,
            backlog=AT_ONCE,
            reuse_port=settings.is_worker,
            host_based_auth=False,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x509_trusted_certs=None,
            utf8_decode_errors="replace",
            line_editor=False,
            encoding=None,
            compression_algs=None,
            login_timeout=settings.limits.login_grace,
            keepalive_interval=KEEPALIVE_SECONDS,
            **modern_algorithms(),
        )
    except OSError as error:
        raise KworkspaceError(
            f"Cannot listen on {settings.listen_host} port {settings.listen_port}:"
            f" {error.strerror or error}. Choose another address with --listen."
        ) from error
    for listening in acceptor.sockets:
        with socket.socket(fileno=os.dup(listening.fileno())) as again:
            again.listen(BACKLOG)
    return acceptor
