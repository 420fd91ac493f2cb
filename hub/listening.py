"""The hub's HTTP port: taken before anything else is begun, given up when all is answered."""

import resource
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.hub.api.domain import Domain
from kworkspace.hub.api.routes import make_application
from kworkspace.hub.config import HubOptions

MAX_CONNECTIONS = 10_000
IDLE_SECONDS = 60  # for a request's head too
BODY_SECONDS = 30
READ_BYTES = 1024 * 1024  # what is larger than a handler takes (413), up to this, is read


class PortInUse(KworkspaceError):
    """A port cannot be had."""

    code = "port"


class BoundedServer(HTTPServer):
    """Refuses connections beyond what the process can hold, so that accepting never fails."""

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a connection, or close it at once."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if len(self._connections) >= min(MAX_CONNECTIONS, limit // 2):
            stream.close()
        else:
            super().handle_stream(stream, address)


def bind(options: HubOptions) -> list[socket.socket]:
    """Take the HTTP port.

    Raises:
        PortInUse: somebody else listens there.
    """
    parts = options.bind_parts("bind_url")
    try:
        return bind_sockets(parts.port or 0, parts.hostname)
    except OSError as error:
        raise PortInUse(
            f"The hub cannot listen on {options.bind_url} ({error.strerror or error}):"
            " end what listens there, or set c.Hub.bind_url"
        ) from error


def close(sockets: list[socket.socket]) -> None:
    """Give ports up."""
    for item in sockets:
        item.close()


def check_ssh_port(options: HubOptions) -> None:
    """See that the gateway, which the hub is about to start, will be able to listen.

    Raises:
        PortInUse: somebody else listens there.
    """
    parts = options.bind_parts("ssh_bind_url")
    try:
        close(bind_sockets(parts.port or 0, parts.hostname))
    except OSError as error:
        raise PortInUse(
            f"The gateway cannot listen on {options.ssh_bind_url} ({error.strerror or error}):"
            " end what listens there, or set c.Hub.ssh_bind_url"
        ) from error


def listen(options: HubOptions, domain: Domain, sockets: list[socket.socket]) -> BoundedServer:
    """Begin to answer requests."""
    server = BoundedServer(
        make_application(domain, options.base_url),
        max_body_size=READ_BYTES,
        idle_connection_timeout=IDLE_SECONDS,
        body_timeout=BODY_SECONDS,
        xheaders=False,
    )
    server.add_sockets(sockets)
    return server


async def end_requests(server: HTTPServer, domain: Domain) -> None:
    """Take no more requests, and return when those under way are answered."""
    server.stop()
    await domain.streams.aclose()
    await domain.under_way.drain(server)


def local_url(options: HubOptions) -> str:
    """Return the URL by which a process on this machine reaches the hub, below it `hub/api`."""
    parts = options.bind_parts("bind_url")
    wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # read, not bound
    host = wildcards.get(str(parts.hostname), str(parts.hostname))
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{parts.port}{options.base_url}".rstrip("/")


def service_environment(options: HubOptions) -> dict[str, str]:
    """Return what every service is told of the hub."""
    below = f"{options.hub_connect_url}{options.base_url}".rstrip("/")
    api_url = f"{below if options.hub_connect_url else local_url(options)}/hub/api"
    return {
        "KWORKSPACE_API_URL": api_url,
        "JUPYTERHUB_API_URL": api_url,
        "KWORKSPACE_BASE_URL": options.base_url,
        "KWORKSPACE_LOG_FORMAT": "json" if options.log_json else "text",
        "JUPYTERHUB_BASE_URL": options.base_url,
    }
