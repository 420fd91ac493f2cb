"""A client without a library, for the tests of the server itself: HTTP calls and watches."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object

_LARGE_BYTES = 1 << 20
PODS = "/api/v1/namespaces/workspaces/pods"
CLAIMS = "/api/v1/namespaces/workspaces/persistentvolumeclaims"
SECRETS = "/api/v1/namespaces/workspaces/secrets"


class Client:
    """Calls with a user's token."""

    def __init__(self, session: aiohttp.ClientSession, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self.url = config["clusters"][0]["cluster"]["server"]
        self.session = session
        self.headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    async def call(
        self, method: str, path: str, body: Any = None, *, type: str = "application/json"
    ) -> tuple[int, Any]:
        """Make a call; return status and decoded body, or text."""
        status, _, found = await self.call_with_headers(method, path, body, type=type)
        return status, found

    async def call_with_headers(
        self, method: str, path: str, body: Any = None, *, type: str = "application/json"
    ) -> tuple[int, dict[str, str], Any]:
        """Make a call; return status, headers and decoded body."""
        text = body if isinstance(body, bytes | str) else json.dumps(body)
        text = text.encode() if isinstance(text, str) else text
        data = text if len(text) < _LARGE_BYTES else io.BytesIO(text)
        async with self.session.request(
            method,
            self.url + path,
            data=None if body is None else data,
            headers=self.headers | ({} if body is None else {"Content-Type": type}),
        ) as response:
            said = await response.text()
            found = json.loads(said) if response.content_type == "application/json" else said
            return response.status, dict(response.headers), found

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator["Watched"]:
        """Watch within the block."""
        async with self.session.get(
            self.url + path, params={"watch": "1"} | query, headers=self.headers
        ) as response:
            yield Watched(response)


class Watched:
    """A watch's stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Object | None:
        """Return the next event, None when the stream has ended."""
        async with asyncio.timeout(20):
            line = await self.response.content.readline()
        found: Object | None = json.loads(line) if line else None
        return found

    async def take(self, count: int) -> list[Object]:
        """Return that many events.

        Raises:
            EOFError: the stream has ended before.
        """
        found: list[Object] = []
        for _ in range(count):
            event = await self.next()
            if event is None:
                raise EOFError(found)
            found.append(event)
        return found


@asynccontextmanager
async def client_of(cluster: Cluster, kubeconfig: Path | None = None) -> AsyncIterator[Client]:
    """Return a client of an admin, or of a kubeconfig."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, kubeconfig or cluster.kubeconfig)


async def exec_in(
    client: Client, *argv: str, name: str = "alice", stdin: bytes | None = None
) -> tuple[int, str, str]:
    """Run a program in a pod; return exit code, stdout and stderr.

    Raises:
        aiohttp.WSServerHandshakeError: it was refused; `status` says how.
    """
    query = [("command", word) for word in argv] + [("stdout", "1"), ("stderr", "1")]
    query += [("stdin", "1")] if stdin is not None else []
    out: dict[int, bytes] = {1: b"", 2: b"", 3: b""}
    async with client.session.ws_connect(
        f"{client.url}{PODS}/{name}/exec",
        params=query,
        headers=client.headers,
        protocols=["v5.channel.k8s.io", "v4.channel.k8s.io"],
    ) as socket:
        assert socket.protocol == "v5.channel.k8s.io"
        if stdin is not None:
            await socket.send_bytes(b"\x00" + stdin)
            await socket.send_bytes(b"\xff\x00")
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                out[message.data[0]] += message.data[1:]
    status = json.loads(out[3])
    if status["status"] == "Success":
        return 0, out[1].decode(), out[2].decode()
    assert status["reason"] == "NonZeroExitCode", status
    (cause,) = status["details"]["causes"]
    assert cause["reason"] == "ExitCode"
    return int(cause["message"]), out[1].decode(), out[2].decode()


def pod(name: str = "alice", *, image: str = "ubuntu:24.04", **spec: Any) -> Object:
    """Return a small pod's manifest; more of its spec is given by name."""
    container = {"name": "workspace", "image": image}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 3} | spec,
    }


def secret(name: str = "alice", **data: str) -> Object:
    """Return a Secret's manifest."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "stringData": data,
    }


def claim(name: str = "home", size: str = "10Gi", **spec: Any) -> Object:
    """Return a claim's manifest."""
    found = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": found | spec,
    }


def is_ready(thing: Object) -> bool:
    """Whether a pod is Ready."""
    conditions = thing["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
