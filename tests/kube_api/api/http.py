"""The API over HTTP: who asks for what, its answer, and the only place that renders refusals."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from tests.kube_api.api import discovery
from tests.kube_api.api.asking import Ask, options_of, parse_path, verb_of
from tests.kube_api.api.listing import list_objects
from tests.kube_api.api.rbac import Users
from tests.kube_api.api.statuses import (
    Refusal,
    bad_request,
    internal,
    method_not_allowed,
    no_such_path,
)
from tests.kube_api.api.streams import Streams
from tests.kube_api.api.subresources import Subresources
from tests.kube_api.api.verbs import Verbs
from tests.kube_api.api.watching import Watch, error
from tests.kube_api.faults import Faults
from tests.kube_api.kinds import POD_METRICS
from tests.kube_api.objects import Object
from tests.kube_api.store import Store

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
USER = web.RequestKey("user", str)
SEEN: set[tuple[str, str, str, str]] = set()
"""User, verb, group and resource of every call to any cluster of this process."""
_REVIEWS = "/apis/authorization.k8s.io/v1/"
_MAX_BODY = 3 << 20
FLOW_SCHEMA = {"X-Kubernetes-Pf-Flowschema-Uid": "ddbd4029-0069-4744-a466-bc4040dca3a2"}


@dataclass(frozen=True)
class Call:
    """One call that was made.

    Attributes:
        verb: as RBAC knows it.
        resource: pods, or pods/exec.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    user: str
    query: dict[str, str]


class Api:
    """The handler of every request.

    Args:
        metrics: answers metrics.k8s.io; it raises a Refusal where that is not installed.
    """

    def __init__(
        self,
        *,
        store: Store,
        users: Users,
        faults: Faults,
        streams: Streams,
        subresources: Subresources,
        metrics: Callable[[str, str], Object],
    ) -> None:
        self.calls: list[Call] = []
        self._store = store
        self._users = users
        self._faults = faults
        self._streams = streams
        self._subresources = subresources
        self._metrics = metrics
        self._verbs = Verbs(store)
        self._watches: dict[Watch, web.Request] = {}
        faults.revision = lambda: store.revision
        faults.abort_watches = self._abort_watches
        faults.end_watches = self._end_watches

    def _abort_watches(self) -> int:
        found = list(self._watches.values())
        for request in found:
            if request.transport is not None:
                request.transport.abort()
        return len(found)

    def _end_watches(self) -> int:
        for watch in self._watches:
            watch.end()
        return len(self._watches)

    def bookmark(self) -> None:
        """Send a bookmark to every watch that wants them."""
        for watch in self._watches:
            watch.mark()

    @property
    def watches(self) -> list[Ask]:
        """What is being watched at this moment."""
        return [watch.ask for watch in self._watches]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; what was refused becomes a Status object."""
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return _refused(refusal, known=USER in request)
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            log.exception("The test API server failed at %s", request.rel_url)
            return _refused(internal(f"{type(problem).__name__}: {problem}"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        user = self._users.of_header(request.headers.get("Authorization", ""))
        request[USER] = user
        query = dict(request.query)
        if request.path.startswith(_REVIEWS) and request.method == "POST":
            return await self._review(request, user)
        if request.path.startswith("/apis/metrics.k8s.io/"):
            return self._answer_metrics(request, user)
        found = discovery.answer(request.path)
        if found is not None:
            return _answered(200, found)
        target = parse_path(request.path)
        verb = verb_of(request.method, target, query)
        if not verb:
            raise method_not_allowed()
        ask = Ask(
            verb,
            target.resource,
            target.namespace,
            target.name,
            target.subresource,
            query,
            user,
            _manager(request.headers.get("User-Agent", "")),
        )
        self._note(ask)
        cut = await self._before(ask, request)
        if isinstance(cut, web.StreamResponse):
            return cut
        self._users.check(ask)
        if ask.verb == "watch":
            return await self._watch(ask, request, cut=cut)
        answer = await self._route(ask, request)
        if cut and isinstance(answer, web.Response):
            return await _half(answer, request)
        return answer

    def _note(self, ask: Ask) -> None:
        SEEN.add((ask.user, ask.verb, ask.resource.group, ask.rbac_resource))
        self.calls.append(
            Call(
                ask.verb,
                ask.resource.group,
                ask.rbac_resource,
                ask.namespace,
                ask.name,
                ask.user,
                ask.query,
            )
        )

    async def _before(self, ask: Ask, request: web.Request) -> bool | web.StreamResponse:
        try:
            return await self._faults.before(ask)
        except Refusal as refusal:
            if ask.verb != "watch" or refusal.code != 410:
                raise
            response = await _stream(request)
            await response.write(error(refusal))
            return response

    async def _review(self, request: web.Request, user: str) -> web.StreamResponse:
        plural = request.path.removeprefix(_REVIEWS)
        body = await _body(request)
        if plural == "selfsubjectaccessreviews":
            answer = self._users.access_review(user, body)
        elif plural == "selfsubjectrulesreviews":
            answer = self._users.rules_review(user, body)
        else:
            raise no_such_path()
        group = "authorization.k8s.io"
        self.calls.append(Call("create", group, plural, "", "", user, dict(request.query)))
        return _answered(201, answer)

    def _answer_metrics(self, request: web.Request, user: str) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")[3:]
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else ""
        name = parts[3] if len(parts) > 3 else ""
        verb = "get" if name else "list"
        answer = self._metrics(namespace, name)
        ask = Ask(verb, POD_METRICS, namespace, name, user=user)
        self._note(ask)
        self._users.check(ask)
        return _answered(200, answer)

    async def _route(self, ask: Ask, request: web.Request) -> web.StreamResponse:
        if ask.subresource in {"log", "exec"}:
            return await self._streams.answer(ask, request, self._users)
        self._verbs.warnings = []
        handlers: dict[str, Callable[[Ask, web.Request], Awaitable[tuple[int, Object]]]] = {
            "list": self._list,
            "get": self._get,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        status, body = await handlers[ask.verb](ask, request)
        return _answered(status, body, self._verbs.warnings)

    async def _list(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        return 200, list_objects(ask, self._store, self._faults.stale_since)

    async def _get(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        return 200, self._verbs.get(ask)

    async def _create(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        body = await _body(request)
        self._verbs.warnings = []
        if ask.subresource:
            return 201, self._subresources.create(ask, body)
        return 201, self._verbs.create(ask, body)

    async def _update(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        body = await _body(request)
        self._verbs.warnings = []
        return 200, self._verbs.update(ask, body)

    async def _patch(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        text = await request.read()
        self._verbs.warnings = []
        return self._verbs.patch(ask, request.content_type, text)

    async def _delete(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        options = options_of(await _body(request), ask.query)
        return 200, self._verbs.delete(ask, options)

    async def _delete_collection(self, ask: Ask, request: web.Request) -> tuple[int, Object]:
        options = options_of(await _body(request), ask.query)
        found = list_objects(ask, self._store)
        for thing in found["items"]:
            metadata = thing["metadata"]
            one = Ask("delete", ask.resource, metadata.get("namespace", ""), metadata["name"])
            with contextlib.suppress(Refusal):
                self._verbs.delete(one, options)
        return 200, found

    async def _watch(self, ask: Ask, request: web.Request, *, cut: bool) -> web.StreamResponse:
        watch = Watch(ask, self._store)
        response = await _stream(request)
        watch.begin()
        self._watches[watch] = request
        try:
            while await watch.wait():
                await self._faults.flowing.wait()
                lines = watch.take()
                if cut:
                    await response.write(lines[0][: len(lines[0]) // 2])
                    _abort(request)
                    return response
                await response.write(b"".join(lines))
        except ConnectionError:
            pass
        finally:
            del self._watches[watch]
            watch.close()
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response


def _manager(agent: str) -> str:
    return agent.partition("/")[0] or "unknown"


async def _body(request: web.Request) -> Any:
    if (request.content_length or 0) > _MAX_BODY:
        message = f"Request entity too large: limit is {_MAX_BODY}"
        raise Refusal(413, "RequestEntityTooLarge", message, {})
    text = await request.read()
    if not text:
        return {}
    if request.content_type not in {"application/json", "application/octet-stream"}:
        accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
        message = (
            "the body of the request was in an unknown format - accepted media types include:"
            f" {accepted}"
        )
        raise Refusal(415, "UnsupportedMediaType", message, {})
    try:
        return json.loads(text)
    except ValueError as problem:
        raise bad_request(f"couldn't get version/kind; json parse error: {problem}") from None


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        | FLOW_SCHEMA
    )
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _answered(status: int, body: Object, warnings: list[str] | None = None) -> web.Response:
    response = web.Response(
        status=status,
        body=_encode(body),
        headers={"Content-Type": "application/json"} | FLOW_SCHEMA,
    )
    for text in _quoted(warnings or []):
        response.headers.add("Warning", text)
    return response


def _quoted(warnings: list[str]) -> Iterator[str]:
    for text in dict.fromkeys(warnings):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        yield f'299 - "{escaped}"'


def _refused(refusal: Refusal, *, known: bool = True) -> web.Response:
    headers = dict(FLOW_SCHEMA) if known else {}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    if refusal.plain is not None:
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return web.Response(status=refusal.code, text=refusal.plain, headers=headers)
    headers["Content-Type"] = "application/json"
    return web.Response(status=refusal.code, body=_encode(refusal.body()), headers=headers)


async def _half(answer: web.Response, request: web.Request) -> web.StreamResponse:
    """Promise a whole body, send half of it, and cut the connection."""
    assert isinstance(answer.body, bytes)
    response = web.StreamResponse(
        status=answer.status, headers={"Content-Type": "application/json"}
    )
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    await asyncio.sleep(0)
    _abort(request)
    return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()
