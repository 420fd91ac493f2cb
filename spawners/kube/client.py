"""The one API client of the process: calls on plain dictionaries, with time limits and retries.

Everything else in this package that speaks to an API server does it here. Errors are those of
`errors`; no exception of aiohttp or kubernetes_asyncio leaves.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, Self, TypeVar

import aiohttp
import msgspec

from kworkspace.spawners.kube import execs
from kworkspace.spawners.kube.calls import Calls, Object
from kworkspace.spawners.kube.credentials import ConnectionOptions, Credentials
from kworkspace.spawners.kube.errors import Call, Expired, refused
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.lines import Lines, TooLong
from kworkspace.spawners.kube.transport import Failed, Transport

__all__ = ["FIELD_MANAGER", "KubeClient", "Object", "Objects"]

FIELD_MANAGER = "kworkspace"
PAGE = 200
ANSWER_SECONDS = 10.0  # of a stream: it begins soon, or the server is stuck
SILENCE_SECONDS = 90.0  # a real API server sends a bookmark every minute
STINT_SECONDS = 0.005  # of decoding, before others get the event loop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Objects:
    """A consistent list.

    Attributes:
        items: the objects; they bear no apiVersion and kind, as the API has it.
        resource_version: where a watch goes on.
    """

    items: list[Object]
    resource_version: str


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815  # as the API spells it
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, Generic[T]):
    metadata: _ListMeta
    items: list[T] | None = None


class _WatchEvent(msgspec.Struct, Generic[T]):
    type: str
    object: T


@cache
def _pages_of(shape: Any) -> "msgspec.json.Decoder[_Page[Any]]":
    return msgspec.json.Decoder(_Page[shape])


@cache
def _events_of(shape: Any) -> "msgspec.json.Decoder[_WatchEvent[Any]]":
    return msgspec.json.Decoder(_WatchEvent[shape])


class KubeClient:
    """Calls to one cluster; `open` makes it.

    Args:
        transport: single tries.
        timeout: seconds that one try may take.
        retry_seconds: for which a call that failed in passing is made again.
    """

    def __init__(self, transport: Transport, *, timeout: float, retry_seconds: float) -> None:
        self._transport = transport
        self._timeout = timeout
        self._calls = Calls(transport, timeout=timeout, retry_seconds=retry_seconds)

    @classmethod
    async def open(cls, options: ConnectionOptions) -> Self:
        """Read the credentials; nothing is asked of the server yet.

        Raises:
            CredentialsError: they cannot be used; it names the file.
        """
        return cls(
            Transport(await Credentials.load(options)),
            timeout=options.k8s_api_request_timeout,
            retry_seconds=options.k8s_api_request_retry_timeout,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    @property
    def server(self) -> str:
        """The API server's URL, for messages."""
        return self._transport.server

    # -- objects ---------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Return an object.

        Raises:
            ApiError: NotFoundInCluster if there is none.
        """
        call = Call("get", kind, namespace, name)
        return await self._calls.send(call, "GET", kind.path(namespace, name), repeatable=True)

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = PAGE,
        resource_version: str | None = None,
        shape: Any = Object,
    ) -> Objects:
        """Return all objects that match, read in pages, as they were at one moment.

        Args:
            kind: which.
            namespace: None for all.
            labels: a label selector.
            fields: a field selector.
            limit: objects a page.
            resource_version: "0" is content with what the server has at hand; None is the newest.
            shape: what to keep of each, see `shapes`.

        Raises:
            ApiError: the cluster refuses it or cannot be reached.
        """
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(limit)}
        query = {name: value for name, value in query.items() if value}
        if resource_version is not None:
            query["resourceVersion"] = resource_version
        try:
            return await self._pages(kind, namespace, query, shape)
        except Expired:
            # Reading took longer than the server remembers: all at once, then.
            del query["limit"]
            return await self._pages(kind, namespace, query, shape)

    async def _pages(
        self, kind: Kind, namespace: str | None, query: dict[str, str], shape: Any
    ) -> Objects:
        call = Call("list", kind, namespace)
        items: list[Object] = []
        more = query
        while True:
            path = kind.path(namespace)
            page = await self._calls.ask(
                call, "GET", path, _pages_of(shape), query=more, repeatable=True
            )
            items += page.items or ()
            if not page.metadata.continue_:
                return Objects(items, page.metadata.resourceVersion)
            more = {**query, "continue": page.metadata.continue_}
            more.pop("resourceVersion", None)

    async def head(self, kind: Kind, namespace: str | None) -> str:
        """Return the resource version of now, from which a watch can begin."""
        call = Call("list", kind, namespace)
        page = await self._calls.ask(
            call,
            "GET",
            kind.path(namespace),
            _pages_of(Object),
            query={"limit": "1"},
            repeatable=True,
        )
        return page.metadata.resourceVersion

    async def create(
        self,
        kind: Kind,
        namespace: str | None,
        body: Mapping[str, Any],
        *,
        repeatable: bool = False,
    ) -> Object:
        """Create an object and return it.

        Args:
            kind: which.
            namespace: where, None for what lives in none.
            body: the manifest.
            repeatable: the caller takes AlreadyExists for what it may be, its own object, so that a
                call whose answer was lost can be made again.

        Raises:
            ApiError: AlreadyExists, Forbidden, Invalid, ...
        """
        call = Call("create", kind, namespace)
        query = {"fieldManager": FIELD_MANAGER}
        path = kind.path(namespace)
        return await self._calls.send(
            call, "POST", path, query=query, body=body, repeatable=repeatable
        )

    async def apply(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        force: bool = True,
    ) -> Object:
        """Make an object's fields those of the manifest (server-side apply), and return all of it.

        Raises:
            ApiError: ConflictInCluster if another manager owns a field, without `force`.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._calls.send(
            Call("patch", kind, namespace, name),
            "PATCH",
            kind.path(namespace, name),
            query=query,
            body=body,
            content_type="application/apply-patch+yaml",
            repeatable=True,
        )

    async def patch_merge(
        self, kind: Kind, namespace: str | None, name: str, body: Mapping[str, Any]
    ) -> Object:
        """Change an object by a JSON merge patch (RFC 7386), and return it."""
        return await self._calls.send(
            Call("patch", kind, namespace, name),
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type="application/merge-patch+json",
            repeatable=True,
        )

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
    ) -> None:
        """Delete an object; the call returns when the deletion is noted, not when it is gone.

        Args:
            kind: which.
            namespace: where.
            name: of the object.
            uid: delete this one and no other of its name.
            grace: seconds that a pod gets to end, 0 kills; None is the pod's own.
            propagation: what becomes of what it owns: "Background", "Foreground", "Orphan".

        Raises:
            ApiError: NotFoundInCluster; ConflictInCluster if another one bears its name now.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        if propagation is not None:
            body["propagationPolicy"] = propagation
        call = Call("delete", kind, namespace, name)
        await self._calls.send(
            call, "DELETE", kind.path(namespace, name), body=body, repeatable=True
        )

    async def version(self) -> str:
        """Return the server's version, as "v1.36.0"; it says whether there is a server at all.

        Raises:
            ApiError: there is none, or it does not know the hub.
        """
        call = Call("get", Kind.NAMESPACE, None, text="say its version")
        answer = await self._calls.send(call, "GET", "/version", repeatable=True)
        return str(answer.get("gitVersion", ""))

    # -- streams ---------------------------------------------------------------------------------

    async def watch(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str,
        seconds: int = 300,
        silence: float = SILENCE_SECONDS,
        on_open: Callable[[], None] | None = None,
        shape: Any = Object,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield (type, object): ADDED, MODIFIED, DELETED, BOOKMARK, until the server ends it.

        Nothing is tried again here. Close the generator (`contextlib.aclosing`).

        Args:
            kind: which.
            namespace: None for all.
            labels: a label selector.
            fields: a field selector.
            resource_version: what happened after this is told.
            seconds: after which the server ends it.
            silence: seconds without a word after which the connection counts as dead.
            on_open: called when the server has accepted it.
            shape: what to keep of each object, see `shapes`.

        Raises:
            Expired: the version is too old: list again.
            ApiError: it was refused, or broke.
        """
        call = Call("watch", kind, namespace)
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        query |= {"resourceVersion": resource_version}
        query |= {"labelSelector": labels} if labels else {}
        query |= {"fieldSelector": fields} if fields else {}
        limit = aiohttp.ClientTimeout(total=None, sock_read=silence)
        now, decoder = asyncio.get_running_loop().time, _events_of(shape)
        async with aclosing(
            self._stream(call, kind.path(namespace), query, limit, on_open)
        ) as lines:
            begun = now()
            async for line in lines:
                yield self._told(call, line, decoder)
                if now() - begun > STINT_SECONDS:
                    await asyncio.sleep(0)
                    begun = now()

    def _told(
        self, call: Call, line: bytes, decoder: "msgspec.json.Decoder[_WatchEvent[Any]]"
    ) -> tuple[str, Object]:
        try:
            try:
                event = decoder.decode(line)
            except msgspec.ValidationError:  # a Status, or an object of a shape that is new
                event = _events_of(Object).decode(line)
            if event.type != "ERROR":
                return event.type, event.object
            status = _events_of(Object).decode(line).object
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._calls.senseless(call) from error
        code = status.get("code")
        raise refused(call, code if isinstance(code, int) else 500, status, server=self.server)

    async def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the lines of a container's log, with `follow` until it has ended.

        Raises:
            ApiError: there is none, or the stream broke.
        """
        call = Call("get", Kind.POD, namespace, pod, "log")
        query = {"container": container}
        query |= {"follow": "true"} if follow else {}
        query |= {"tailLines": str(tail)} if tail is not None else {}
        limit = aiohttp.ClientTimeout(total=None, sock_read=None if follow else self._timeout)
        path = Kind.POD.path(namespace, pod, "log")
        async with aclosing(self._stream(call, path, query, limit, None)) as lines:
            async for line in lines:
                yield line.decode(errors="replace").removesuffix("\r")

    async def _stream(
        self,
        call: Call,
        path: str,
        query: Mapping[str, str],
        limit: aiohttp.ClientTimeout,
        on_open: Callable[[], None] | None,
    ) -> AsyncGenerator[bytes, None]:
        lines = Lines()
        try:
            async with self._transport.request(
                call, "GET", path, query=query, timeout=limit, answer_within=ANSWER_SECONDS
            ) as response:
                if on_open is not None:
                    on_open()
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield line
                if rest := lines.rest():
                    yield rest
        except Failed as failed:
            raise failed.failure.error from failed.failure.error.__cause__
        except TooLong as error:
            raise self._calls.senseless(call) from error

    async def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float,
        most: int = execs.MOST_BYTES,
    ) -> execs.Result:
        """Run a program in a container, and return its exit code and what it printed.

        Args:
            namespace: of the pod.
            pod: its name.
            container: which of its containers.
            argv: the program and its arguments.
            stdin: its input.
            timeout: seconds for all of it.
            most: bytes that it may print.

        Raises:
            ExecFailed: it could not be started, did not end in time, or printed too much (with
                what it had printed).
            ApiError: the cluster refuses it or cannot be reached.
        """
        call = Call("create", Kind.POD, namespace, pod, "exec")
        path = Kind.POD.path(namespace, pod, "exec")
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("stdin", "true")] if stdin else []
        query += [("command", word) for word in argv]

        async def attempt() -> execs.Result:
            async with self._transport.websocket(
                call, path, query=query, protocols=execs.PROTOCOLS
            ) as stream:
                return await execs.converse(
                    stream,
                    stdin=stdin,
                    timeout=timeout,
                    what=f"{argv[0]} in {namespace}/{pod}",
                    most=most,
                )

        return await self._calls.again(attempt, repeatable=False)
