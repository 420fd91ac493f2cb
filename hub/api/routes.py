"""Every route, in one table."""

from pathlib import Path
from typing import Any

from tornado.web import Application

import kworkspace.share
from kworkspace.hub.api import (
    auth,
    gateway,
    groups,
    hub,
    invites,
    keys,
    own,
    pages,
    servers,
    tunnels,
    users,
)
from kworkspace.hub.api.base import NotFoundHandler
from kworkspace.hub.api.domain import Domain

SHARE = Path(next(iter(kworkspace.share.__path__)))
STATIC = str(SHARE / "static")

_USER = r"/users/(?P<user_name>[^/]+)"
_GROUP = r"/groups/(?P<group_name>[^/]+)"
_SERVER = r"(?:/server|/servers/(?P<server_name>[^/]+))"
_SESSION = r"/gateway/sessions/(?P<session_id>[0-9a-f-]{36})"


def make_application(domain: Domain, base_url: str) -> Application:
    """Return the web application.

    Args:
        domain: what the handlers call.
        base_url: the path that everything is below, `/` at both ends.
    """
    handed: dict[str, Any] = {"domain": domain}
    api = {
        r"/?": hub.RootHandler,
        r"/health": hub.HealthHandler,
        r"/health/ready": hub.ReadyHandler,
        r"/metrics": hub.MetricsHandler,
        r"/user": users.SelfHandler,
        r"/users": users.UsersHandler,
        _USER: users.UserHandler,
        rf"{_USER}/tokens": users.UserTokensHandler,
        rf"{_USER}/keys": keys.KeysHandler,
        rf"{_USER}/keys/(?P<key_id>[^/]+)": keys.KeyHandler,
        rf"{_USER}/invites": invites.InvitesHandler,
        rf"{_USER}/invites/(?P<invite_id>[^/]+)": invites.InviteHandler,
        r"/groups": groups.GroupsHandler,
        _GROUP: groups.GroupHandler,
        rf"{_GROUP}/users": groups.GroupUsersHandler,
        rf"{_USER}{_SERVER}": servers.ServerHandler,
        rf"{_USER}{_SERVER}/progress": servers.ServerProgressHandler,
        rf"{_USER}{_SERVER}/ports": servers.ServerPortsHandler,
        rf"{_USER}{_SERVER}/certificate": tunnels.ServerCertificateHandler,
        r"/profiles": servers.ProfilesHandler,
        r"/auth/challenge": auth.ChallengeHandler,
        r"/auth/token": auth.TokenHandler,
        r"/gateway/authorize": gateway.AuthorizeHandler,
        r"/gateway/failures": gateway.FailuresHandler,
        r"/gateway/invites": invites.InviteClaimsHandler,
        r"/gateway/tunnels": tunnels.TunnelsHandler,
        r"/gateway/sessions": gateway.SessionsHandler,
        _SESSION: gateway.SessionHandler,
        rf"{_SESSION}/server": gateway.SessionServerHandler,
        rf"{_SESSION}/progress": gateway.SessionProgressHandler,
        rf"{_SESSION}/address": tunnels.SessionAddressHandler,
        rf"{_SESSION}/certificate": gateway.SessionCertificateHandler,
        rf"{_SESSION}/own": own.OwnUser,
        rf"{_SESSION}/own{_SERVER}": own.OwnServer,
        rf"{_SESSION}/own{_SERVER}/progress": own.OwnProgress,
        rf"{_SESSION}/own{_SERVER}/ports": own.OwnPorts,
        rf"{_SESSION}/own/keys": own.OwnKeys,
        rf"{_SESSION}/own/keys/(?P<key_id>[^/]+)": own.OwnKey,
        rf"{_SESSION}/page": own.PageHandler,
        r"/gateway/instances/(?P<instance>[0-9A-Za-z-]{1,64})": gateway.GatewayHandler,
        r"/gateway/host-certificate": gateway.HostCertificateHandler,
        r"/gateway/commands": gateway.GatewayCommandsHandler,
    }
    prefix = domain.api_prefix
    return Application(
        [
            *((f"{prefix}{path}", handler, handed) for path, handler in api.items()),
            (rf"{base_url}hub/metrics", hub.MetricsHandler, handed),
            (r"/health", hub.HealthHandler, handed),
            (r"/health/ready", hub.ReadyHandler, handed),
            (base_url, pages.HomeHandler, handed),
            (rf"{base_url}static/(.*)", pages.StaticHandler, handed | {"path": STATIC}),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=handed,
        log_function=lambda _handler: None,
    )
