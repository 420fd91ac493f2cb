"""The hub's own options; an admin of JupyterHub knows most of them by name."""

import logging
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Enum, Float, Integer, List, TraitError, Unicode, default, validate

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.gateway_options import GatewayOptions
from kworkspace.hub.groups import parse_group_name
from kworkspace.hub.plugins import EntryPointType
from kworkspace.hub.scopes import Role
from kworkspace.hub.services import Service
from kworkspace.spawners.base import Spawner

_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_SERVICE_KEYS = {"name", "command", "environment", "cwd", "admin", "api_token_file"}


class HubOptions(GatewayOptions):
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

    db_url = Unicode(
        help="""The database, as an SQLAlchemy URL. Default: SQLite, `hub.sqlite` in data_dir.

        One hub at a time uses an SQLite file.""",
    ).tag(config=True)

    @default("db_url")
    def _default_db_url(self) -> str:
        return f"sqlite:///{self.data_dir}/hub.sqlite"

    authenticate_prometheus = Bool(
        True, help="Whether it takes a token with the scope read:metrics to read /hub/metrics."
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

    template_vars = Dict(
        help="""More variables for the pages' templates, as in JupyterHub.

        `commands`, a list of lines, is what the home page tells people to type.""",
    ).tag(config=True)

    events_retention_days = Integer(
        365, min=0, help="Days after which a row of the audit log is deleted. 0: never."
    ).tag(config=True)

    def managed_services(self) -> tuple[list[Service], dict[str, Role]]:
        """Return the services to run or to know, and what each service may do."""
        entries = {service["name"]: service for service in [self.gateway_service(), *self.services]}
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
