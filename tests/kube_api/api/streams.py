"""Logs and exec: what the API server passes on from the node that runs the pod."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from aiohttp import web

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.rbac import Users
from tests.kube_api.api.statuses import Refusal, bad_request, not_found
from tests.kube_api.objects import Object, containers, dig, is_finished
from tests.kube_api.store import Store

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


class Execution(Protocol):
    """A program that runs in a container."""

    async def write(self, chunk: bytes) -> None:
        """Pass on input."""

    async def close_stdin(self) -> None:
        """End the input."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (channel, bytes), STDOUT or STDERR, until both have ended."""

    async def wait(self) -> int:
        """Return the exit code."""

    async def aclose(self) -> None:
        """Let go of it."""


class Node(Protocol):
    """What runs pods, as the API server sees it."""

    async def exec(self, pod: Object, container: str, argv: list[str], *, tty: bool) -> Execution:
        """Start a program in a container.

        Raises:
            Refusal: it is not running.
        """

    def log(
        self, pod: Object, container: str, *, previous: bool, follow: bool, tail: int | None
    ) -> AsyncIterator[bytes]:
        """Yield a log's lines, with follow until the container has ended.

        Raises:
            Refusal: there is no log.
        """


class Streams:
    """The subresources `log` and `exec` of pods."""

    def __init__(self, store: Store, node: Node) -> None:
        self._store = store
        self._node = node
        self._sockets: set[web.WebSocketResponse] = set()

    async def answer(self, ask: Ask, request: web.Request, users: Users) -> web.StreamResponse:
        """Answer a request for one of them.

        Raises:
            Refusal: 400, 403, 404 or 500.
        """
        pod = self._store.get(ask.resource, ask.namespace, ask.name)
        if ask.subresource == "exec":
            # A WebSocket comes by GET; the right to create is asked for all the same.
            users.check(ask, "create")
        if pod is None:
            raise not_found(ask.resource, ask.name)
        container = _container(pod, ask.query.get("container", ""))
        if ask.subresource == "log":
            return await self._log(ask, request, pod, container)
        return await self._exec(request, pod, container)

    async def _log(
        self, ask: Ask, request: web.Request, pod: Object, container: str
    ) -> web.StreamResponse:
        tail = ask.number("tailLines") if "tailLines" in ask.query else None
        lines = self._node.log(
            pod,
            container,
            previous=ask.flag("previous"),
            follow=ask.flag("follow"),
            tail=tail,
        )
        try:
            first = await anext(lines)
        except StopAsyncIteration:
            return web.Response(headers={"Content-Type": "text/plain"})
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(first)
            async for line in lines:
                await response.write(line)
            await response.write_eof()
        return response

    async def _exec(self, request: web.Request, pod: Object, container: str) -> web.StreamResponse:
        if is_finished(pod):
            phase = pod["status"]["phase"]
            raise bad_request(
                f"cannot exec into a container in a completed pod; current phase is {phase}"
            )
        argv = request.query.getall("command", [])
        if not argv:
            raise bad_request("you must specify at least 1 command for the container")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise Refusal(400, "BadRequest", "Upgrade request required")
        wanted = request.headers.get("Sec-WebSocket-Protocol", "")
        if not any(name in wanted for name in PROTOCOLS):
            raise Refusal(400, "BadRequest", f"unable to upgrade: no known protocol in {wanted!r}")
        tty = request.query.get("tty") in {"1", "true"}
        execution = await self._node.exec(pod, container, argv, tty=tty)
        socket = web.WebSocketResponse(protocols=PROTOCOLS, autoping=True)
        try:
            await socket.prepare(request)
            self._sockets.add(socket)
            await _converse(socket, execution, _wanted(request))
        finally:
            self._sockets.discard(socket)
            await execution.aclose()
        return socket

    def drop_execs(self) -> int:
        """Cut every exec's connection and return how many."""
        found = list(self._sockets)
        for socket in found:
            if (transport := socket.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    transport.shutdown(2)
        return len(found)


def _wanted(request: web.Request) -> set[int]:
    names = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR}
    return {channel for name, channel in names.items() if request.query.get(name) in {"1", "true"}}


async def _converse(socket: web.WebSocketResponse, execution: Execution, wanted: set[int]) -> None:
    """Carry input, output and exit code of one program."""
    loop = asyncio.get_running_loop()
    reading = loop.create_task(_read(socket, execution), name="exec input")
    try:
        if STDIN not in wanted:
            await execution.close_stdin()
        async for channel, chunk in execution.output():
            if channel in wanted:
                await socket.send_bytes(bytes([channel]) + chunk)
        code = await execution.wait()
        await socket.send_bytes(bytes([ERROR]) + json.dumps(exit_status(code)).encode())
        await socket.close()
    except ConnectionError:
        pass
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def _read(socket: web.WebSocketResponse, execution: Execution) -> None:
    """Pass the client's messages on; its going away ends the program's input."""
    has_close = socket.ws_protocol == PROTOCOLS[0]
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, chunk = message.data[0], message.data[1:]
        if channel == STDIN:
            await execution.write(chunk)
        elif channel == CLOSE and has_close and chunk[:1] == bytes([STDIN]):
            await execution.close_stdin()
    await execution.close_stdin()


def exit_status(code: int) -> Object:
    """Return the Status that the error channel carries at the end."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _container(pod: Object, name: str) -> str:
    """The container that a request means.

    Raises:
        Refusal: 400.
    """
    pod_name = pod["metadata"]["name"]
    names = [one["name"] for one in (*containers(pod), *containers(pod, init=True))]
    if name:
        if name not in names:
            raise bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    default = dig(pod, "metadata", "annotations", "kubectl.kubernetes.io/default-container")
    first = [one["name"] for one in containers(pod)]
    if default in names:
        return str(default)
    if len(first) > 1:
        choices = " ".join(first)
        raise bad_request(
            f"a container name must be specified for pod {pod_name}, choose one of: [{choices}]"
        )
    return str(first[0])
