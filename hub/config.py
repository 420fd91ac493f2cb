"""The hub's own options; an admin of JupyterHub knows most of them by name."""

import logging
import os
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from traitlets import Bool, Dict, Enum, Float, Integer, List, TraitError, Unicode, default, validate
from traitlets.config import Application

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.challenge import normal_url
from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.models import StartOnConnect
from kworkspace.cli.client.names import parse_user_name
from kworkspace.cli.client.proxies import trusted_networks
from kworkspace.hub.groups import parse_group_name
from kworkspace.hub.plugins import EntryPointType
from kworkspace.hub.scopes import Role
from kworkspace.hub.services import Service
from kworkspace.hub.session_policy import SessionPolicy
from kworkspace.spawners.base import Spawner

TUNNEL_PATH = "/gateway/tunnel"
_LOCAL = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}  # noqa: S104  # read, not bound
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104  # read, not bound
_HOST_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_PATH_SEGMENT = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_STARTS: tuple[StartOnConnect, ...] = ("never", "interactive", "always")
_SERVICE_KEYS = {"name", "command", "environment", "cwd", "admin", "api_token_file"}


class HubOptions(Application):
    """What can be set as `c.Hub.*`."""

    log_level = Enum(
        (*_LEVELS, *(logging.getLevelName(level) for level in _LEVELS)),
        default_value=logging.INFO,
        help="The least level that is logged.",
    ).tag(config=True)

    log_format = Unicode(
        "%(asctime)s.%(msecs)03d %(levelname)s %(name)s%(request)s %(message)s",
        help="A line of the log; `request` is the request's id, if it belongs to one.",
    ).tag(config=True)

    log_json = Bool(
        False,
        help="""Log one JSON object per line instead, and have the services do so: `time` (ISO 8601,
        UTC), `level`, `logger`, `message`, and where there are any `request_id` and `exc`.""",
    ).tag(config=True)

    file: Path | None = None  # the configuration file that was read

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

    db_url = Unicode(
        help="""The database, as an SQLAlchemy URL. Default: SQLite, `hub.sqlite` in data_dir.

        One hub at a time uses an SQLite file.""",
    ).tag(config=True)

    @default("db_url")
    def _default_db_url(self) -> str:
        return f"sqlite:///{self.data_dir}/hub.sqlite"

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

    authenticate_prometheus = Bool(
        True, help="Whether it takes a token with the scope read:metrics to read /hub/metrics."
    ).tag(config=True)

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

    spawner_class = EntryPointType(
        "local",
        klass=Spawner,
        entry_point_group="kworkspace.spawners",
        help="How workspaces are started: a name, a class or a dotted path.",
    ).tag(config=True)

    authenticator_class = EntryPointType(
        "ssh-key",
        klass=Authenticator,
        entry_point_group="kworkspace.authenticators",
        help="Who may come in: a name, a class or a dotted path.",
    ).tag(config=True)

    services: List[dict[str, Any]] = List(
        help="""Services that the hub runs: dictionaries with `name`, `command` (a list), and, if
        wanted, `environment`, `cwd`, `admin` and `api_token_file`.

        The gateway is one by default; an entry of the same name replaces it, and with an empty
        command the hub runs none. One that somebody else runs has an `api_token_file` instead: the
        service gets a copy of it, and who writes another token into it and starts the hub again
        has ended the old one.""",
    ).tag(config=True)

    @validate("services")
    def _usable_services(self, proposal: Any) -> list[dict[str, Any]]:
        for index, service in enumerate(proposal["value"]):
            problem = _service_problem(service)
            if problem:
                raise TraitError(f"The 'services' trait, entry {index + 1}: {problem}")
        return list(proposal["value"])

    concurrent_spawn_limit = Integer(
        100, min=0, help="How many workspaces start at once; more are told to retry. 0: no limit."
    ).tag(config=True)

    active_server_limit = Integer(
        0, min=0, help="How many workspaces run at once. 0: no limit."
    ).tag(config=True)

    allow_named_servers = Bool(
        False, help="Whether a person may have named workspaces beside the default one."
    ).tag(config=True)

    load_groups = Dict(
        help="""Groups to make at the start: `{"ml": ["alice", "bob"]}`, or as in JupyterHub
        `{"ml": {"users": ["alice", "bob"]}}`.

        Users are put into them and never taken out. Hooks and spawners see a workspace's
        groups.""",
    ).tag(config=True)

    @validate("load_groups")
    def _usable_groups(self, proposal: Any) -> dict[str, list[str]]:
        try:
            return {
                parse_group_name(name): _members(name, of) for name, of in proposal["value"].items()
            }
        except BadRequest as error:
            raise TraitError(f"The 'load_groups' trait: {error}") from None

    def group_users(self) -> set[str]:
        """Return the users that `load_groups` names."""
        return {user for users in self.load_groups.values() for user in users}

    named_server_limit_per_user = Integer(
        0, min=0, help="How many named workspaces a person may have. 0: no limit."
    ).tag(config=True)

    slow_spawn_timeout = Float(
        10.0,
        min=0.0,
        help="Seconds that a request waits for a start or stop before it answers 202.",
    ).tag(config=True)

    token_expires_in = Integer(
        86400, min=60, help="Seconds that a token lasts which a person got by signing in."
    ).tag(config=True)

    cookie_secret_file = Unicode(
        help="The file with the secret for signed values. Default: `cookie_secret` in data_dir."
    ).tag(config=True)

    @default("cookie_secret_file")
    def _default_cookie_secret_file(self) -> str:
        return str(Path(self.data_dir) / "cookie_secret")

    user_ca_file = Unicode(
        help="""The key of the authority that signs the gateway's way into workspaces, made if there
        is none. Default: `user_ca` in data_dir. `kworkspace-hub ca rotate` adds another one.""",
    ).tag(config=True)

    @default("user_ca_file")
    def _default_user_ca_file(self) -> str:
        return str(Path(self.data_dir) / "user_ca")

    host_ca_file = Unicode(
        help="""The key of the authority that signs the gateway's host key, so that people need not
        know that, made if there is none. Default: `host_ca` in data_dir.""",
    ).tag(config=True)

    @default("host_ca_file")
    def _default_host_ca_file(self) -> str:
        return str(Path(self.data_dir) / "host_ca")

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

    template_vars = Dict(
        help="""More variables for the pages' templates, as in JupyterHub.

        `commands`, a list of lines, is what the home page tells people to type.""",
    ).tag(config=True)

    events_retention_days = Integer(
        365, min=0, help="Days after which a row of the audit log is deleted. 0: never."
    ).tag(config=True)

    def session_policy(self) -> SessionPolicy:
        """Return what the options say of sessions."""
        return SessionPolicy(
            start_on_connect=self.start_on_connect,
            most_of_user=self.max_sessions_per_user,
            idle_seconds=self.session_idle_timeout,
        )

    def managed_services(self) -> tuple[list[Service], dict[str, Role]]:
        """Return the services to run or to know, and what each service may do."""
        entries = {service["name"]: service for service in [self._gateway(), *self.services]}
        roles = {
            name: Role.ADMIN if entry.get("admin") else Role.SERVICE
            for name, entry in entries.items()
        }
        roles["gateway"] = Role.GATEWAY
        run = [
            Service(
                name=name,
                command=tuple(entry.get("command", ())),
                environment=entry.get("environment", {}),
                cwd=entry.get("cwd"),
                token_file=Path(file) if (file := entry.get("api_token_file")) else None,
            )
            for name, entry in entries.items()
            if entry.get("command") or entry.get("api_token_file")
        ]
        return run, roles

    def _gateway(self) -> dict[str, Any]:
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


def _members(group: str, of: object) -> list[str]:
    """Return the users of an entry of `load_groups`, which is a list or {"users": a list}."""
    users = of.get("users", []) if isinstance(of, dict) else of
    unknown = sorted(set(of) - {"users"}) if isinstance(of, dict) else []
    if unknown:
        raise BadRequest(f"group '{group}': unknown key '{unknown[0]}'; there is 'users'")
    if not isinstance(users, list | tuple | set) or not all(isinstance(one, str) for one in users):
        raise BadRequest(f"group '{group}': expected a list of user names")
    return [parse_user_name(name, f"group '{group}'") for name in users]


def _service_problem(service: object) -> str:
    if not isinstance(service, dict):
        return "expected a dictionary"
    if unknown := sorted(set(service) - _SERVICE_KEYS):
        return f"unknown key '{unknown[0]}'; there are {', '.join(sorted(_SERVICE_KEYS))}"
    name = service.get("name")
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        return "'name' must be a name of letters, digits, '-' and '_'"
    command = service.get("command", [])
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        return f"'command' of {name} must be a list of strings"
    environment = service.get("environment", {})
    if not isinstance(environment, dict) or not all(
        isinstance(text, str) for pair in environment.items() for text in pair
    ):
        return f"'environment' of {name} must be a dictionary of strings"
    for key in ("cwd", "api_token_file"):
        if not isinstance(service.get(key, ""), str):
            return f"'{key}' of {name} must be a path"
    return ""
