"""The gateway, as the hub knows it and runs it: options of `c.Hub`."""

import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, Enum, Integer, List, TraitError, Unicode, default, validate

from kworkspace.cli.client.models import StartOnConnect
from kworkspace.hub.place_options import PlaceOptions
from kworkspace.hub.session_policy import SessionPolicy

TUNNEL_PATH = "/gateway/tunnel"
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104  # read, not bound
_HOST_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_STARTS: tuple[StartOnConnect, ...] = ("never", "interactive", "always")


class GatewayOptions(PlaceOptions):
    """They."""

    gateway_addresses = List(
        Unicode(),
        help="""From where workspaces see the gateway, if that is not its own address (NAT).

        Addresses or networks, such as "192.0.2.0/28". What the gateway opens workspaces with is
        good from there alone.""",
    ).tag(config=True)

    @validate("gateway_addresses")
    def _networks(self, proposal: Any) -> list[str]:
        try:
            return [str(ip_network(each)) for each in proposal["value"]]
        except ValueError as error:
            raise TraitError(f"The 'gateway_addresses' trait: {error}") from None

    ssh_bind_url = Unicode(
        "ssh://127.0.0.1:2222", help="Where the gateway, which the hub runs, listens for SSH."
    ).tag(config=True)

    tunnel = Bool(
        True,
        help="""Whether people may come in by tunnel (`kworkspace proxy`): SSH between them and
        their workspace, which the gateway only copies and sees nothing of. Off, there is the
        gateway's own SSH alone.""",
    ).tag(config=True)

    tunnel_bind_url = Unicode(
        "http://127.0.0.1:0",
        help="""Where the gateway, which the hub runs, listens for tunnels. Port 0 is a free one.

        Anything but a loopback address belongs behind a proxy that speaks TLS, such as the hub's:
        with the path /gateway/ of its host, and `tunnel_url`.""",
    ).tag(config=True)

    tunnel_url = Unicode(
        help="""The URL below which people open tunnels: https://HOST/gateway/tunnel, or
        /gateway/tunnel where it is on the host that they reach the hub by.

        Default: on `tunnel_bind_url`.""",
    ).tag(config=True)

    @validate("tunnel_url")
    def _usable_tunnel_url(self, proposal: Any) -> str:
        url = str(proposal["value"]).rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        usable = usable or (url.startswith("/") and not url.startswith("//"))
        if url and not (usable and url.endswith(TUNNEL_PATH) and not {"?", "#"} & set(url)):
            raise TraitError(
                f"The 'tunnel_url' trait expected https://HOST{TUNNEL_PATH} or {TUNNEL_PATH},"
                f" not '{url}'"
            )
        return url

    def tunnel_base(self, port: int | None) -> str | None:
        """Return the URL below which people open tunnels, None where there are none.

        Args:
            port: where a gateway says that it listens for tunnels.
        """
        if not self.tunnel:
            return None
        if self.tunnel_url or port is None:
            return self.tunnel_url or None
        parts = self.bind_parts("tunnel_bind_url")
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"http://{host}:{parts.port or port}{TUNNEL_PATH}"

    start_on_connect = Enum(
        _STARTS,
        default_value=_STARTS[-1],
        help="""Which connections through the gateway start a workspace that does not run:
        `always`, all of them; `interactive`, those with a terminal (`ssh NAME@HUB`, `ssh -t`);
        `never`, none. The others are told how it is started.""",
    ).tag(config=True)

    max_sessions_per_user = Integer(
        64,
        min=0,
        help="""How many connections through gateways a person may have at one time. 0: no
        limit.""",
    ).tag(config=True)

    session_idle_timeout = Integer(
        0,
        min=0,
        help="""Seconds after which a connection through a gateway is ended that has had no input
        and no output. 0: never.""",
    ).tag(config=True)

    x11_forwarding = Bool(
        False,
        help="""Whether windows of programs in a workspace may be shown on its user's own screen
        (`ssh -X`, `ssh -Y`). The workspace needs xauth and an OpenSSH sshd.""",
    ).tag(config=True)

    gateway_host_names = List(
        Unicode(),
        help="""The names and addresses that people reach the gateway by: those that its host
        certificate is for.

        Default: those of public_urls, and where the gateway listens if that is one address.""",
    ).tag(config=True)

    @default("gateway_host_names")
    def _default_gateway_host_names(self) -> list[str]:
        urls = [urlsplit(url) for url in (*self.public_urls, self.ssh_bind_url)]
        return sorted({url.hostname or "" for url in urls} - _EVERYWHERE)

    @validate("gateway_host_names")
    def _host_names(self, proposal: Any) -> list[str]:
        for name in proposal["value"]:
            if not _HOST_NAME.fullmatch(name):
                raise TraitError(f"The 'gateway_host_names' trait: '{name}' is no host name")
        return [name.lower() for name in proposal["value"]]

    gateway_host_key_file = Unicode(
        help="""The gateway's SSH host key, made if there is none. Default: `gateway_host_key` in
        data_dir. People pin it, and the hub takes no login that was made at another door.""",
    ).tag(config=True)

    @default("gateway_host_key_file")
    def _default_gateway_host_key_file(self) -> str:
        return str(Path(self.data_dir) / "gateway_host_key")

    gateway_args = List(
        Unicode(),
        help="""More arguments for the gateway that the hub runs, as `["--workers", "4"]`:
        `python -m kworkspace.gateway --help` lists them.""",
    ).tag(config=True)

    def session_policy(self) -> SessionPolicy:
        """Return what the options say of sessions."""
        return SessionPolicy(
            start_on_connect=self.start_on_connect,
            most_of_user=self.max_sessions_per_user,
            idle_seconds=self.session_idle_timeout,
            x11_forwarding=self.x11_forwarding,
        )

    def gateway_service(self) -> dict[str, Any]:
        """Return the entry of `services` that there is by default."""
        parts = self.bind_parts("ssh_bind_url")
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        command = [sys.executable, "-m", "kworkspace.gateway", "--listen", f"{host}:{parts.port}"]
        command += ["--host-key", self.gateway_host_key_file]
        if self.tunnel:
            command += ["--tunnel-listen", self.bind_parts("tunnel_bind_url").netloc]
            if self.trusted_downstream_ips:
                command += ["--trusted-proxies", ",".join(self.trusted_downstream_ips)]
        # When the hub ends, its services have some seconds.
        command += ["--drain", "0", *self.gateway_args]
        return {"name": "gateway", "command": command}
