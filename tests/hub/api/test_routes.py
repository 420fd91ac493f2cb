"""Every route: who may call it, and what everybody gets who may not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.web import Application

from kworkspace.hub.api import routes
from kworkspace.hub.api.base import PUBLIC, BaseHandler
from kworkspace.hub.scopes import Scope
from tests.hub.api.conftest import Web

ID = "00000000-0000-0000-0000-000000000000"

# What answers without a token: nothing else does.
OPEN = {
    ("GET", "/hub/api/"),
    ("GET", "/hub/api/health"),
    ("GET", "/hub/api/health/ready"),
    ("POST", "/hub/api/auth/challenge"),
    ("POST", "/hub/api/auth/token"),
    ("GET", "/health"),
    ("GET", "/health/ready"),
    ("GET", "/"),
    ("GET", "/static/page.css"),
}
# What a token of any kind opens.
SIGNED_IN = {
    ("GET", "/hub/api/user"),
    ("GET", "/hub/api/profiles"),
    ("DELETE", "/hub/api/auth/token"),
}


def rules(application: Application) -> Iterator[tuple[str, type[BaseHandler]]]:
    """Yield an example of each route's paths, with its handler."""
    for rule in application.wildcard_router.rules:
        matcher: Any = rule.matcher
        pattern = matcher.regex.pattern.rstrip("$")
        for name, value in (
            ("user_name", "alice"),
            ("server_name", "gpu"),
            ("session_id", ID),
            ("key_id", ID),
            ("invite_id", ID),
            ("group_name", "ml"),
            ("instance", "gw-1"),
        ):
            pattern = re.sub(rf"\(\?P<{name}>[^)]*\)", value, pattern)
        pattern = pattern.replace("(.*)", "page.css").replace("/?", "/")
        pattern = pattern.replace("(?:/server|/servers/gpu)", "/server")
        assert not re.search(r"[()?*\[]", pattern), pattern
        yield pattern, rule.target


def calls(application: Application) -> Iterator[tuple[str, str, Scope | str]]:
    for path, handler in rules(application):
        for method, scope in handler.scopes.items():
            yield method, path, scope


@pytest.fixture
def application(web: Web) -> Application:
    return routes.make_application(web.parts.domain, "/")


async def test_every_method_declares_its_scope(application: Application) -> None:
    handlers = dict(rules(application))
    assert len(handlers) > 20
    for handler in handlers.values():
        assert issubclass(handler, BaseHandler)
        implemented = {
            method
            for method in handler.SUPPORTED_METHODS
            if getattr(handler, method.lower()) is not getattr(BaseHandler, method.lower())
        }
        assert implemented == set(handler.scopes), handler
        for scope in handler.scopes.values():
            assert isinstance(scope, Scope) or scope in {"public", "signed-in"}


async def test_public_routes_are_these(application: Application) -> None:
    assert {(method, path) for method, path, scope in calls(application) if scope == PUBLIC} == OPEN


async def test_anonymous(web: Web, application: Application) -> None:
    for method, path, _ in calls(application):
        for authorization in ("", "token", "token wrong", "Bearer ", "Basic eA==", "kws_x"):
            reply = await web(method, path, Authorization=authorization)
            if (method, path) in OPEN:
                assert reply.status != 401, path
            else:
                assert reply.error[0] == 401, path
                assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_gateway_opens_only_its_own(web: Web, application: Application, gateway: str) -> None:
    for method, path, scope in calls(application):
        if (method, path) in OPEN | SIGNED_IN | {("GET", "/hub/api/gateway/commands")}:
            continue
        reply = await web(method, path, gateway)
        own = path.startswith("/hub/api/gateway/")
        assert own is (scope is Scope.GATEWAY)
        assert (reply.status == 403) is not own, path


async def test_nobody_else_is_a_gateway(
    web: Web, application: Application, alice: str, ada: str
) -> None:
    tokens = [alice, ada, *[await web.parts.service_token(name) for name in ("culler", "plain")]]
    for method, path, scope in calls(application):
        if scope is Scope.GATEWAY:
            for token in tokens:
                assert (await web(method, path, token)).error[0] == 403


async def test_service_without_a_role_opens_nothing(web: Web, application: Application) -> None:
    token = await web.parts.service_token("plain")
    for method, path, _ in calls(application):
        if (method, path) not in OPEN | SIGNED_IN:
            assert (await web(method, path, token)).error[0] == 403, path
    reply = await web("GET", "/hub/api/user", token)
    assert (reply.json["name"], reply.json["kind"], reply.json["scopes"]) == (
        "plain",
        "service",
        [],
    )


async def test_service_that_is_not_configured_any_more(web: Web) -> None:
    token = await web.parts.service_token("former")
    status, message = (await web("GET", "/hub/api/user", token)).error
    assert (status, message) == (401, "The token's service is no longer configured")


async def test_base_url(web: Web) -> None:
    application = routes.make_application(web.parts.domain, "/kw/")
    paths = {path for path, _ in rules(application)}
    assert {"/health", "/kw/", "/kw/static/page.css"} < paths
