"""What the handlers call: the domain's objects, handed over once, typed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import jinja2

from kworkspace.cli.client.models import Server, User
from kworkspace.cli.client.proxies import Networks
from kworkspace.hub.admission import Admission
from kworkspace.hub.api.streams import Streams
from kworkspace.hub.api.underway import UnderWay
from kworkspace.hub.api.views import server_view, user_view
from kworkspace.hub.audit import Audit
from kworkspace.hub.gateways import Gateways
from kworkspace.hub.groups import Groups
from kworkspace.hub.invites import Invites
from kworkspace.hub.keys import Keys
from kworkspace.hub.login import SignIn
from kworkspace.hub.metrics import Metrics
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.people import People
from kworkspace.hub.ports import Ports
from kworkspace.hub.progress import ProgressBoard
from kworkspace.hub.readmodel import ReadModel, ServerRow, UserRow
from kworkspace.hub.scopes import Role
from kworkspace.hub.servers import Servers
from kworkspace.hub.sessions import Sessions
from kworkspace.hub.tokens import Tokens
from kworkspace.hub.tunnel_certificates import TunnelCertificates
from kworkspace.hub.tunnels import Tunnels


@dataclass(slots=True)
class Domain:
    """The objects.

    Attributes:
        ready: whether the hub has adopted what runs, and has not been told to end.
        in_step: waits until what any hub has answered before is seen here.
        fresh: says whether it has lately seen what other hubs on its database have changed.
        under_way: the requests that are being answered.
        api_prefix: the path of the API, as `/hub/api`.
        public_url: the URL of the hub for people, as far as it knows.
        service_roles: what each service may do.
        slow_spawn_seconds: how long a start or stop is waited for before it is answered with 202.
        metrics_need_token: whether it takes a token to read the metrics.
        trusted_proxies: whose word on where a request came from counts.
    """

    readmodel: ReadModel
    servers: Servers
    tokens: Tokens
    sign_in: SignIn
    admission: Admission
    people: People
    ports: Ports
    keys: Keys
    invites: Invites
    groups: Groups
    sessions: Sessions
    open_sessions: OpenSessions
    tunnels: Tunnels
    tunnel_certificates: TunnelCertificates
    gateways: Gateways
    board: ProgressBoard
    audit: Audit
    streams: Streams
    metrics: Metrics
    templates: jinja2.Environment
    service_roles: Mapping[str, Role]
    api_prefix: str
    public_url: str
    slow_spawn_seconds: float
    fresh: Callable[[], bool]
    in_step: Callable[[], Awaitable[None]]
    trusted_proxies: Networks = ()
    metrics_need_token: bool = True
    ready: bool = False
    under_way: UnderWay = field(default_factory=UnderWay)

    def view_of_user(self, row: UserRow) -> User:
        """Return a user as REST shows them."""
        admin = self.admission.is_admin(row.name)
        servers = {
            name: self.view_of_server(server)
            for name, server in self.readmodel.servers_of(row.name).items()
        }
        return user_view(row, self.readmodel, servers, admin=admin)

    def view_of_server(self, row: ServerRow) -> Server:
        """Return a server as REST shows it."""
        return server_view(row, self.api_prefix, self.tunnels.url(row))
