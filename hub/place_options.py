"""Where the hub keeps what it has, and by which addresses it is reached: options of `c.Hub`."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from traitlets import List, TraitError, Unicode, default, validate
from traitlets.config import Application

from kworkspace.cli.client.challenge import normal_url
from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.proxies import trusted_networks

_LOCAL = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}  # noqa: S104  # read, not bound
_PATH_SEGMENT = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")


class PlaceOptions(Application):
    """They."""

    data_dir = Unicode(
        help="""Where database, keys, service files and, with the local spawner, the homes are.

        Default: $XDG_DATA_HOME/kworkspace, which is ~/.local/share/kworkspace.""",
    ).tag(config=True)

    @default("data_dir")
    def _default_data_dir(self) -> str:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return str(Path(base) / "kworkspace")

    @validate("data_dir")
    def _absolute_data_dir(self, proposal: Any) -> str:
        return str(Path(proposal["value"]).expanduser().absolute())

    bind_url = Unicode(
        "http://127.0.0.1:8000",
        help="""Where the hub listens for HTTP.

        Anything but a loopback address belongs behind a proxy that speaks TLS.""",
    ).tag(config=True)

    base_url = Unicode(
        "/", help="The path that everything but /health is below, as `/kworkspace/`."
    ).tag(config=True)

    @validate("base_url")
    def _slashes(self, proposal: Any) -> str:
        path = proposal["value"].strip("/")
        if path and not all(_PATH_SEGMENT.fullmatch(segment) for segment in path.split("/")):
            raise TraitError(f"The 'base_url' trait expected a path as /kworkspace/, not '{path}'")
        return f"/{path}/" if path else "/"

    hub_connect_url = Unicode(
        help="""The URL by which services reach the hub, without base_url, as in JupyterHub.

        With several hubs it is that of the balancer before them. Default: bind_url.""",
    ).tag(config=True)

    @validate("hub_connect_url")
    def _connectable_url(self, proposal: Any) -> str:
        url = str(proposal["value"]).rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.path
            usable = usable and not parts.query and (parts.port is None or parts.port > 0)
        except ValueError:
            usable = False
        if url and not usable:
            raise TraitError(f"The 'hub_connect_url' trait expected http://HOST:PORT, not '{url}'")
        return url

    public_urls = List(
        Unicode(),
        help="""The URLs that people reach the hub by; a signed challenge must be for one of them.

        Default: bind_url, and its loopback names when it listens there.""",
    ).tag(config=True)

    @default("public_urls")
    def _default_public_urls(self) -> list[str]:
        parts = self.bind_parts("bind_url")
        names = {parts.hostname}
        if parts.hostname in _LOCAL:
            names = {"127.0.0.1", "localhost", "[::1]"}
        path = self.base_url.rstrip("/")
        return sorted(f"{parts.scheme}://{name}:{parts.port}{path}" for name in names)

    @validate("public_urls")
    def _urls(self, proposal: Any) -> list[str]:
        try:
            return [normal_url(url) for url in proposal["value"]]
        except BadRequest as error:
            raise TraitError(f"The 'public_urls' trait: {error}") from None

    trusted_downstream_ips = List(
        Unicode(),
        help="""Addresses or networks of the proxies in front of the hub, as in JupyterHub.

        What they say in X-Forwarded-For and X-Forwarded-Proto counts; anybody else's does not.""",
    ).tag(config=True)

    @validate("trusted_downstream_ips")
    def _addresses(self, proposal: Any) -> list[str]:
        try:
            trusted_networks(proposal["value"])
        except ValueError as error:
            raise TraitError(f"The 'trusted_downstream_ips' trait: {error}") from None
        return list(proposal["value"])

    @validate("bind_url", "ssh_bind_url", "tunnel_bind_url")
    def _usable_url(self, proposal: Any) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        scheme = "ssh" if name == "ssh_bind_url" else "http"
        try:
            parts = urlsplit(value)
            usable = parts.scheme == scheme and parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable or parts.path not in {"", "/"}:
            raise TraitError(f"The '{name}' trait expected {scheme}://ADDRESS:PORT, not '{value}'")
        return str(value)

    def bind_parts(self, trait: str) -> SplitResult:
        """Return the address of `bind_url`, `ssh_bind_url` or `tunnel_bind_url`, parsed."""
        url: str = getattr(self, trait)
        return urlsplit(url)
