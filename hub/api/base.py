"""The base of every handler: who calls, what they may do, typed bodies, one rendering of errors.

The trust boundary of REST. `prepare` refuses a request before the handler's method runs; a class
whose method declares no scope cannot be defined.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from tornado.httputil import HTTPServerRequest
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from kworkspace.cli.client.errors import (
    BadRequest,
    Forbidden,
    KworkspaceError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    from_status,
)
from kworkspace.cli.client.models import ErrorReply
from kworkspace.cli.client.names import parse_user_name, parse_workspace_name
from kworkspace.cli.client.proxies import client_address, is_trusted
from kworkspace.hub.api.domain import Domain
from kworkspace.hub.audit import Origin, origin
from kworkspace.hub.scopes import Caller, Role, Scope

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BODY_BYTES = 256 * 1024

PUBLIC: Final = "public"
SIGNED_IN: Final = "signed-in"

_METHODS = ("get", "post", "put", "patch", "delete")
_REQUEST_ID_CHARACTERS = frozenset(
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
)


class BaseHandler(RequestHandler):
    """A handler.

    Attributes:
        scopes: for each method in upper case, the scope it needs; PUBLIC needs no token,
            SIGNED_IN any token.
    """

    scopes: ClassVar[dict[str, Scope | str]] = {}
    SUPPORTED_METHODS = tuple(method.upper() for method in _METHODS)

    def __init_subclass__(cls) -> None:
        for method in _METHODS:
            if method in vars(cls) and method.upper() not in cls.scopes:
                raise TypeError(f"{cls.__name__}.{method} declares no scope")

    def __init__(self, application: Application, request: HTTPServerRequest, **kwargs: Any) -> None:
        self.request_id = _request_id(request)
        super().__init__(application, request, **kwargs)
        self.caller: Caller | None = None
        self.by_session: str | None = None
        self._about: str | None = None
        self._stream_end: asyncio.Future[None] | None = None

    def initialize(self, domain: Domain) -> None:
        """Take what the routes hand to every handler."""
        self.domain = domain

    def set_default_headers(self) -> None:
        """No caching and no sniffing of what is here; errors have them too."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Server", "kworkspace")
        self.set_header("X-Request-Id", self.request_id)

    async def _execute(self, transforms: list[Any], *args: bytes, **kwargs: bytes) -> None:
        with self.domain.under_way.one():
            if self.scopes.get(self.request.method or "", PUBLIC) != PUBLIC:
                await self.domain.in_step()
            await super()._execute(transforms, *args, **kwargs)

    def prepare(self) -> Awaitable[None] | None:
        """Find out who calls, and refuse what they may not do."""
        self._see_through_proxies()
        address = self.request.remote_ip or ""
        origin.set(Origin(request_id=self.request_id, address=address, actor="anonymous"))
        self.domain.under_way.check()
        if len(self.request.body) > MAX_BODY_BYTES:
            raise TooLarge(f"body: more than {MAX_BODY_BYTES} bytes")
        needed = self.scopes.get(self.request.method or "", PUBLIC)
        if needed == PUBLIC:
            return None
        self.caller = self._authenticate()
        origin.set(Origin(request_id=self.request_id, address=address, actor=str(self.caller)))
        if isinstance(needed, Scope):
            self._check(self.caller, needed)
        return None

    def _see_through_proxies(self) -> None:
        """Take the client's address and protocol from proxies that are trusted, and no others."""
        peer, headers = self.request.remote_ip or "", self.request.headers
        trusted = self.domain.trusted_proxies
        if not is_trusted(peer, trusted):
            return
        self.request.remote_ip = client_address(peer, headers.get_list("X-Forwarded-For"), trusted)
        if (protocol := headers.get("X-Forwarded-Proto")) in {"http", "https"}:
            self.request.protocol = protocol

    def _authenticate(self) -> Caller:
        scheme, _, secret = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in {"token", "bearer"} or not secret:
            raise Unauthorized("This needs a token: Authorization: Bearer TOKEN")
        if not self.domain.fresh():
            # What another hub has revoked must not open anything here.
            raise Unavailable("The hub cannot read its database: try again in a moment")
        self.token = self.domain.tokens.find(secret.strip())
        if self.token is None:
            raise Unauthorized("The token is unknown or has expired: sign in again")
        if self.token.user is None:
            name = self.token.service or ""
            role = self.domain.service_roles.get(name)
            if role is None:
                raise Unauthorized("The token's service is no longer configured")
            return Caller("service", name, role)
        admission = self.domain.admission
        if not admission.counts(self.token):
            raise Unauthorized("The token no longer counts: its key or its user is gone")
        role = Role.ADMIN if admission.is_admin(self.token.user) else Role.USER
        return Caller("user", self.token.user, role)

    def _check(self, caller: Caller, needed: Scope) -> None:
        if "user_name" in self.path_kwargs:
            owner = self.user_name
            if caller.may(needed, owner):
                return
            if caller.holds(needed):
                # Not to tell other people's names: the answer for a user that does not exist.
                raise NotFound(f"User {owner} does not exist")
        elif caller.may(needed):
            return
        raise Forbidden(f"This needs the scope {needed}, which {caller} does not have")

    @property
    def user_name(self) -> str:
        """The path's user name, checked."""
        return parse_user_name(self.path_kwargs["user_name"], "name")

    @property
    def by(self) -> str | None:
        """The user who calls, None for a service."""
        return self.caller.name if self.caller is not None and self.caller.kind == "user" else None

    @property
    def server_name(self) -> str:
        """The path's workspace name, checked; "" for the default one."""
        return parse_workspace_name(self.path_kwargs.get("server_name") or "", "server_name")

    def about(self, user: str, address: str = "") -> None:
        """Say for the audit log whose the request is, which its path does not tell.

        Args:
            user: the user, or SSH login, that it names; nothing about it is proven.
            address: where it came from at first, by a gateway's word.
        """
        self._about = user
        if address:
            origin.set(replace(origin.get(), address=address[:64]))

    def body(self, kind: type[T]) -> T:
        """Return the request's JSON body.

        Raises:
            BadRequest: it is not JSON, or a field is wrong; the message names it.
        """
        try:
            return msgspec.json.decode(self.request.body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise BadRequest(_name_field(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"body: not valid JSON ({error})") from None

    def reply(self, item: object, status: int = 200) -> None:
        """Write a model as JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(item))

    async def reply_events(self, events: AsyncIterator[msgspec.Struct]) -> None:
        """Write server-sent events until they end or the caller leaves."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        self._stream_end = self.domain.streams.new_end()
        async with aclosing(self.domain.streams.until(self._stream_end, events)) as stream:
            try:
                await self.flush()
                async for item in stream:
                    data = b"" if item is None else b"data: " + msgspec.json.encode(item)
                    self.write((data or b": keep-alive") + b"\n\n")
                    await self.flush()
            except StreamClosedError:
                log.debug("A listener left")

    def on_connection_close(self) -> None:
        """A listener left: end its stream."""
        if self._stream_end is not None and not self._stream_end.done():
            self._stream_end.set_result(None)

    def on_finish(self) -> None:
        """It is answered."""
        if self._stream_end is None:
            self.domain.metrics.request(
                self.request.method or "",
                type(self).__name__.removesuffix("Handler"),
                self.get_status(),
                self.request.request_time(),
            )

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Render any exception as the one error shape; found by class, details to the log only."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, HTTPError):
            error = from_status(error.status_code, _words(error))
        if not isinstance(error, KworkspaceError):
            # Tornado has logged the traceback already (log_exception).
            error = KworkspaceError(
                f"The hub failed; tell an admin the request id {self.request_id}"
            )
        if isinstance(error, TooMany):
            self.set_header("Retry-After", str(error.retry_after))
        elif isinstance(error, Unauthorized):
            self.set_header("WWW-Authenticate", "Bearer")  # RFC 9110, section 11.6.1
        elif isinstance(error, MethodNotAllowed):
            self.set_header("Allow", ", ".join(sorted(self.scopes)))  # RFC 9110, section 15.5.6
        if 400 <= error.status < 500 and self.scopes:
            named = self.path_kwargs.get("user_name") if hasattr(self, "path_kwargs") else None
            user = named if self._about is None else self._about
            action = f"{self.request.method} {type(self).__name__.removesuffix('Handler')}"
            if self.domain.audit.refuse(action.lower(), error, user):
                log.info("%s %s: %d %s", self.request.method, self._path(), error.status, error)
        self.render_failure(error)

    def render_failure(self, error: KworkspaceError) -> None:
        """Write an error as JSON."""
        self.reply(ErrorReply(status=error.status, message=error.message), error.status)

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """What a caller did is a line; what we did wrong is a traceback."""
        if isinstance(value, KworkspaceError) and value.status < 500:
            # A refusal's line is written with its row in the audit log, at the same bounded rate.
            log.debug("%s %s: %d %s", self.request.method, self._path(), value.status, value)
        elif isinstance(value, Unavailable) and value.__cause__ is None:
            # The hub ends, or too many wait: nothing is broken.
            log.warning("%s %s: %s", self.request.method, self._path(), value)
        elif isinstance(value, KworkspaceError):
            cause = value.__cause__
            log.error("%s %s: %s", self.request.method, self._path(), value, exc_info=cause)
        elif isinstance(value, HTTPError):
            log.debug("%s %s: %d", self.request.method, self._path(), value.status_code)
        else:
            log.error("%s %s failed", self.request.method, self._path(), exc_info=value)

    def _path(self) -> str:
        return json.dumps(self.request.path)[1:-1]


class NotFoundHandler(BaseHandler):
    """Whatever has no route."""

    def prepare(self) -> None:
        """Answer as everything else does."""
        super().prepare()
        raise NotFound("There is nothing at this path")


def _request_id(request: HTTPServerRequest) -> str:
    """Return the caller's request id if it is a sane one, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    if 0 < len(given) <= 64 and _REQUEST_ID_CHARACTERS.issuperset(given):
        return given
    return secrets.token_hex(8)


def _name_field(message: str) -> str:
    """Turn msgspec's "Expected `str`, got `int` - at `$.user`" into "user: expected ..."."""
    text, _, path = message.partition(" - at `$")
    text = text[0].lower() + text[1:]
    path = path.rstrip("`").lstrip(".")
    if path:
        return f"{path}: {text}"
    # "Object missing required field `user`", "Object contains unknown field `x`"
    if "field `" in text:
        return f"{text.split('`')[1]}: {text}"
    return f"body: {text}"


def _words(error: HTTPError) -> str:
    if not error.log_message:
        return HTTPStatus(error.status_code).phrase
    return error.log_message % error.args if error.args else error.log_message
