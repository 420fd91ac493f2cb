"""The REST calls as values: method, path, body and the type of the answer.

One place for every path that a client uses; `sync.Client` and `aio.AsyncClient` carry them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from kworkspace.cli.client import models as m

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: the HTTP method.
        path: below the hub's URL, beginning with `/hub/api/`.
        reply: the type to decode the answer to; `type(None)` when the answer has no body.
        body: what is sent as JSON.
        stream: the answer is a stream of server-sent events of `reply`.
        respond_async: the hub need not wait until it is done (RFC 7240, section 4.1).
    """

    method: str
    path: str
    reply: type[T]
    body: msgspec.Struct | Mapping[str, Any] | None = field(default=None)
    stream: bool = False
    respond_async: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the call asks for, whoever carries it."""
        headers = {} if self.body is None else {"Content-Type": "application/json"}
        if self.respond_async:
            headers["Prefer"] = "respond-async"
        return headers


@dataclass(frozen=True, slots=True)
class OfSession:
    """Whoever logged in to a session, for a gateway: what they may do by themselves.

    Attributes:
        session: the session's id.
    """

    session: str


Owner = str | OfSession
"""Whose something is: a user's name, or a gateway's session."""


def _user(owner: Owner) -> str:
    if isinstance(owner, OfSession):
        return f"/hub/api/gateway/sessions/{owner.session}/own"
    return f"/hub/api/users/{quote(owner, safe='')}"


def _server(user: Owner, server: str) -> str:
    return f"{_user(user)}/servers/{quote(server, safe='')}" if server else f"{_user(user)}/server"


def root() -> Call[m.HubRoot]:
    """The hub's version and the gateway's door; needs no token."""
    return Call("GET", "/hub/api/", m.HubRoot)


def whoami() -> Call[m.User]:
    """The user that the token stands for."""
    return Call("GET", "/hub/api/user", m.User)


def get_user(name: Owner) -> Call[m.User]:
    """One user with their servers."""
    return Call("GET", _user(name), m.User)


def start(user: Owner, server: str = "", options: Mapping[str, Any] | None = None) -> Call[None]:
    """Start a workspace: 202 it is on its way, follow `progress`; 201 it is ready.

    Args:
        user: whose.
        server: which; "" is the default one.
        options: what is asked for; None is as the last time.
    """
    return Call("POST", _server(user, server), type(None), options, respond_async=True)


def profiles() -> Call[list[m.Profile]]:
    """What can be asked for when a workspace starts."""
    return Call("GET", "/hub/api/profiles", list[m.Profile])


def stop(user: Owner, server: str = "") -> Call[None]:
    """Stop a workspace: 204 it is stopped, 202 it is on its way."""
    return Call("DELETE", _server(user, server), type(None))


def progress(user: Owner, server: str = "") -> Call[m.Progress]:
    """Follow a start or stop."""
    return Call("GET", f"{_server(user, server)}/progress", m.Progress, stream=True)


def ports(user: Owner, server: str = "") -> Call[list[m.Port]]:
    """What listens in a workspace that runs."""
    return Call("GET", f"{_server(user, server)}/ports", list[m.Port])


def tunnel_certificate(
    user: Owner, server: str, request: m.CertificateRequest
) -> Call[m.TunnelCertificate]:
    """What opens a workspace, while a tunnel into it is open."""
    return Call("POST", f"{_server(user, server)}/certificate", m.TunnelCertificate, request)


def create(user: Owner, server: str) -> Call[m.Server]:
    """Make a named workspace without starting it: 201 made, 200 it is there already."""
    return Call("PUT", _server(user, server), m.Server)


def delete(user: Owner, server: str) -> Call[None]:
    """Stop and delete a named workspace, its files included: 204 done, 202 on its way."""
    return Call("DELETE", _server(user, server), type(None), m.StopRequest(remove=True))


def keys(user: Owner) -> Call[list[m.Key]]:
    """A user's public keys, of whatever source."""
    return Call("GET", f"{_user(user)}/keys", list[m.Key])


def add_key(user: Owner, request: m.NewKey) -> Call[m.Key]:
    """Add a key to those that the database keeps: 201."""
    return Call("POST", f"{_user(user)}/keys", m.Key, request)


def remove_key(user: Owner, id: str) -> Call[None]:
    """Remove a key of the database; its tokens and sessions end: 204."""
    return Call("DELETE", f"{_user(user)}/keys/{quote(id, safe='')}", type(None))


def invite(user: str, request: m.InviteRequest) -> Call[m.NewInvite]:
    """Admin: make a code that adds one key to the user's, once: 201."""
    return Call("POST", f"{_user(user)}/invites", m.NewInvite, request)


def invites(user: str) -> Call[list[m.Invite]]:
    """Admin: a user's invitations that are open."""
    return Call("GET", f"{_user(user)}/invites", list[m.Invite])


def revoke_invite(user: str, id: str) -> Call[None]:
    """Admin: end an invitation: 204."""
    return Call("DELETE", f"{_user(user)}/invites/{quote(id, safe='')}", type(None))


def users(offset: int = 0, limit: int = 200) -> Call[list[m.User]]:
    """A page of all users, by name."""
    return Call("GET", f"/hub/api/users?offset={offset}&limit={limit}", list[m.User])


def add_users(request: m.NewUsers) -> Call[list[m.User]]:
    """Add users: 201."""
    return Call("POST", "/hub/api/users", list[m.User], request)


def change_user(name: str, request: m.UserChange) -> Call[m.User]:
    """Rename a user, or make them an admin, or no admin any more."""
    return Call("PATCH", _user(name), m.User, request)


def remove_user(name: str) -> Call[None]:
    """Remove a user with their workspaces, files and all: 204 done, 202 on its way."""
    return Call("DELETE", _user(name), type(None))


def challenge() -> Call[m.Challenge]:
    """A nonce to sign."""
    return Call("POST", "/hub/api/auth/challenge", m.Challenge)


def new_token(request: m.TokenRequest) -> Call[m.NewToken]:
    """A signed challenge for a token."""
    return Call("POST", "/hub/api/auth/token", m.NewToken, request)


def revoke_token() -> Call[None]:
    """End the token that this very call bears."""
    return Call("DELETE", "/hub/api/auth/token", type(None))


def new_user_token(name: str, request: m.UserTokenRequest) -> Call[m.NewToken]:
    """A token for a user, by who may make one for them."""
    return Call("POST", f"{_user(name)}/tokens", m.NewToken, request)


def authorize(request: m.AuthorizeRequest) -> Call[None]:
    """Gateway: 204 when an offered key may be this login's, 403 otherwise."""
    return Call("POST", "/hub/api/gateway/authorize", type(None), request)


def login_failed(request: m.FailedLogin) -> Call[None]:
    """Gateway: a connection has ended whose keys were all refused."""
    return Call("POST", "/hub/api/gateway/failures", type(None), request)


def claim_invite(request: m.InviteClaim) -> Call[m.InviteOffer]:
    """Gateway: somebody gives an invitation's code."""
    return Call("POST", "/hub/api/gateway/invites", m.InviteOffer, request)


def open_session(request: m.SessionRequest) -> Call[m.Session]:
    """Gateway: a login completed."""
    return Call("POST", "/hub/api/gateway/sessions", m.Session, request)


def open_tunnel(request: m.TunnelRequest) -> Call[m.Tunnel]:
    """Gateway: somebody's token for a session that is a tunnel."""
    return Call("POST", "/hub/api/gateway/tunnels", m.Tunnel, request)


def session_address(session: str) -> Call[m.WorkspaceAddress]:
    """Gateway: where to connect a tunnel to, once the workspace is ready."""
    return Call("GET", f"/hub/api/gateway/sessions/{session}/address", m.WorkspaceAddress)


def start_session_server(session: str) -> Call[None]:
    """Gateway: start the session's workspace; 201 it is ready, 202 it is on its way."""
    path = f"/hub/api/gateway/sessions/{session}/server"
    return Call("POST", path, type(None), respond_async=True)


def session_progress(session: str) -> Call[m.Progress]:
    """Gateway: follow the start of the session's workspace."""
    return Call("GET", f"/hub/api/gateway/sessions/{session}/progress", m.Progress, stream=True)


def page(session: str) -> Call[m.Page]:
    """Gateway: where the hub's page is."""
    return Call("GET", f"/hub/api/gateway/sessions/{session}/page", m.Page)


def certificate(session: str, request: m.CertificateRequest) -> Call[m.Certificate]:
    """Gateway: how to open the session's workspace, once it is ready."""
    path = f"/hub/api/gateway/sessions/{session}/certificate"
    return Call("POST", path, m.Certificate, request)


def close_session(session: str, end: m.SessionEnd) -> Call[None]:
    """Gateway: a session ended."""
    return Call("DELETE", f"/hub/api/gateway/sessions/{session}", type(None), end)


def report_gateway(instance: str, report: m.GatewayReport) -> Call[None]:
    """Gateway: where its door is and which sessions are open; at start and every few seconds."""
    return Call("PUT", f"/hub/api/gateway/instances/{instance}", type(None), report)


def host_certificate(request: m.HostCertificateRequest) -> Call[m.HostCertificate]:
    """Gateway: a certificate for the door's host key."""
    return Call("POST", "/hub/api/gateway/host-certificate", m.HostCertificate, request)


def gateway_commands(instance: str) -> Call[m.Command]:
    """Gateway: the one stream of what the hub wants done."""
    path = f"/hub/api/gateway/commands?instance={quote(instance, safe='')}"
    return Call("GET", path, m.Command, stream=True)
