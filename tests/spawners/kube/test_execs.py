"""Exec over the WebSocket: output, exit codes, input, and each way to fail."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.kube import errors, execs
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from kworkspace.spawners.kube.kinds import Kind
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.spawners.kube.objects import NAMESPACE, is_ready, kubeconfig, pod

Program = Callable[[list[str], bytes], tuple[int, bytes, bytes]]


async def _pod(client: KubeClient, cluster: Cluster, program: Program) -> None:
    cluster.kubelet.images["runs:1"] = Image(exec=program)
    await client.create(Kind.POD, NAMESPACE, pod("alice", "runs:1"))
    await cluster.wait("pods", is_ready)


async def test_output_and_exit_code(client: KubeClient, cluster: Cluster) -> None:
    await _pod(client, cluster, lambda argv, stdin: (3, " ".join(argv).encode(), b"oh"))
    argv = ["sh", "-c", "echo ü & 'x'"]
    found = await client.exec(NAMESPACE, "alice", "workspace", argv, timeout=10)
    assert found == execs.Result(3, " ".join(argv).encode(), b"oh")


async def test_input_arrives_and_ends(client: KubeClient, cluster: Cluster) -> None:
    await _pod(client, cluster, lambda argv, stdin: (0, stdin[::-1], b""))
    sent = bytes(range(256)) * 1000
    found = await client.exec(NAMESPACE, "alice", "workspace", ["rev"], stdin=sent, timeout=10)
    assert found.exit_code == 0
    assert found.stdout == sent[::-1]


async def test_a_container_that_is_not_there(client: KubeClient, cluster: Cluster) -> None:
    await _pod(client, cluster, lambda argv, stdin: (0, b"", b""))
    with pytest.raises(errors.Invalid, match="pods/exec alice in namespace workspaces"):
        await client.exec(NAMESPACE, "alice", "other", ["id"], timeout=10)
    with pytest.raises(errors.NotFoundInCluster):
        await client.exec(NAMESPACE, "bob", "workspace", ["id"], timeout=10)


class Server:
    """Answers every exec as a test says.

    Attributes:
        messages: what is sent.
        linger: keep the connection open afterwards.
        protocols: that it knows.
    """

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.linger = False
        self.protocols: tuple[str, ...] = execs.PROTOCOLS
        self.opened = asyncio.Event()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Answer."""
        stream = web.WebSocketResponse(protocols=self.protocols)
        await stream.prepare(request)
        for message in self.messages:
            await stream.send_bytes(message)
        self.opened.set()
        if self.linger:
            await stream.receive()
        await stream.close()
        return stream


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def told(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[KubeClient]:
    """A client of that server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = tmp_path_factory.mktemp("config") / "config"
    path.write_text(kubeconfig(f"http://127.0.0.1:{runner.addresses[0][1]}"))
    async with await KubeClient.open(Connection(kubeconfig=str(path))) as client:
        yield client
    await runner.cleanup()


async def _exec(client: KubeClient, *, stdin: bytes = b"", timeout: float = 10) -> execs.Result:
    return await client.exec(
        NAMESPACE, "alice", "workspace", ["tool"], stdin=stdin, timeout=timeout
    )


async def test_a_program_that_does_not_end_in_time(server: Server, told: KubeClient) -> None:
    server.messages, server.linger = [b"\x01half", b"\x02why"], True
    with pytest.raises(errors.ExecFailed, match="tool in workspaces/alice did not end") as found:
        await _exec(told, timeout=0.3)
    assert (found.value.stdout, found.value.stderr) == (b"half", b"why")


async def test_a_connection_that_ends_before_the_program(server: Server, told: KubeClient) -> None:
    server.messages = [b"\x01half"]
    with pytest.raises(errors.ExecFailed, match="was cut off") as found:
        await _exec(told)
    assert found.value.stdout == b"half"


async def test_a_program_that_is_not_there(server: Server, told: KubeClient) -> None:
    said = b'{"status":"Failure","reason":"InternalError","message":"no tool in $PATH"}'
    server.messages = [b"\x03" + said]
    with pytest.raises(errors.ExecFailed, match=r"did not run: no tool in \$PATH") as found:
        await _exec(told)
    assert found.value.reason == "InternalError"


async def test_more_than_may_be_printed(server: Server, told: KubeClient) -> None:
    server.messages = [b"\x01" + b"x" * 6, b"\x02" + b"y" * 6]
    with pytest.raises(errors.ExecFailed, match="printed more than 10 bytes") as found:
        await told.exec(NAMESPACE, "alice", "workspace", ["tool"], timeout=5, most=10)
    assert (found.value.stdout, found.value.stderr) == (b"xxxxxx", b"yyyy")


async def test_an_old_cluster_takes_no_input(server: Server, told: KubeClient) -> None:
    server.protocols = (execs.V4,)
    server.messages = [b'\x03{"status":"Success"}']
    assert (await _exec(told)).exit_code == 0
    with pytest.raises(errors.ExecFailed, match="older than Kubernetes"):
        await _exec(told, stdin=b"x")


async def test_empty_and_unknown_messages_are_nothing(server: Server, told: KubeClient) -> None:
    server.messages = [b"", b"\x01", b"\x04x", b"\x01a", b'\x03{"status":"Success"}']
    assert await _exec(told) == execs.Result(0, b"a", b"")


async def test_who_waits_may_be_cancelled(server: Server, told: KubeClient) -> None:
    server.linger = True
    tasks = Tasks()
    task = tasks.spawn(_exec(told), "exec")
    await server.opened.wait()
    async with asyncio.timeout(10):
        await tasks.aclose()
    assert task.cancelled()
