"""Nothing of aiohttp and kubernetes_asyncio leaves the client: each failure is one of ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from unittest.mock import Mock

import aiohttp
import kubernetes_asyncio.client
import pytest
from kubernetes_asyncio.config import ConfigException

from kworkspace.spawners.kube import transport
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from kworkspace.spawners.kube.errors import ApiError
from kworkspace.spawners.kube.kinds import Kind
from tests.spawners.kube.objects import NAMESPACE, kubeconfig

KEY = Mock(ssl=True, host="cluster.test", port=443)
REQUEST = Mock(real_url="http://cluster.test")
FAILURES = [
    aiohttp.ClientConnectorError(KEY, OSError(111, "Connection refused")),
    aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
    aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("bad")),
    aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("bad")),
    aiohttp.ClientProxyConnectionError(KEY, OSError(111, "Connection refused")),
    aiohttp.ClientHttpProxyError(REQUEST, (), status=407),
    aiohttp.ClientOSError(104, "Connection reset by peer"),
    aiohttp.ClientConnectionResetError("Cannot write to closing transport"),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.ServerTimeoutError(),
    aiohttp.ConnectionTimeoutError(),
    aiohttp.SocketTimeoutError(),
    aiohttp.ServerFingerprintMismatch(b"", b"", "cluster.test", 443),
    aiohttp.ClientResponseError(REQUEST, ()),
    aiohttp.WSServerHandshakeError(REQUEST, (), status=500),
    aiohttp.InvalidURL("http://["),
    aiohttp.TooManyRedirects(REQUEST, ()),
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError(),
    ValueError("Newline in a header"),
]


async def _list(client: KubeClient) -> None:
    await client.list(Kind.POD, NAMESPACE)


async def _watch(client: KubeClient) -> None:
    async with aclosing(client.watch(Kind.POD, NAMESPACE, resource_version="1")) as events:
        await anext(events)


async def _log(client: KubeClient) -> None:
    async with aclosing(client.log(NAMESPACE, "alice", "workspace")) as found:
        await anext(found)


async def _exec(client: KubeClient) -> None:
    await client.exec(NAMESPACE, "alice", "workspace", ["id"], timeout=5)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[KubeClient]:
    path = tmp_path / "config"
    path.write_text(kubeconfig("http://cluster.test"))
    options = Connection(kubeconfig=str(path), k8s_api_request_retry_timeout=0)
    async with await KubeClient.open(options) as opened:
        yield opened


@pytest.mark.parametrize("call", [_list, _watch, _log, _exec])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_what_the_library_raises_is_translated(
    client: KubeClient,
    call: Callable[[KubeClient], Awaitable[None]],
    failure: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*args: object, **kwargs: object) -> None:
        raise failure

    monkeypatch.setattr(aiohttp.ClientSession, "request", fails)
    monkeypatch.setattr(aiohttp.ClientSession, "ws_connect", fails)
    with pytest.raises(ApiError) as found:
        await call(client)
    assert "cluster.test" in found.value.message
    assert "\n" not in found.value.message
    cause: BaseException | None = found.value
    while cause is not None and cause is not failure:
        cause = cause.__cause__
    assert cause is failure


def test_the_list_of_failures_is_complete() -> None:
    """A new exception of aiohttp must be a kind of one that is translated."""
    raised = [
        kind
        for kind in vars(aiohttp).values()
        if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
    ]
    assert all(issubclass(kind, transport.LIBRARY_ERRORS) for kind in raised)
    # Not used here: the generated client, and what reads its configuration (see `sources`).
    assert not issubclass(kubernetes_asyncio.client.ApiException, transport.LIBRARY_ERRORS)
    assert not issubclass(ConfigException, transport.LIBRARY_ERRORS)


async def test_cancellation_is_no_failure(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(*args: object, **kwargs: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(aiohttp.ClientSession, "request", cancelled)
    with pytest.raises(asyncio.CancelledError):
        await _list(client)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("3", 3, 3),
        ("-1", 0, 0),
        ("soon", 1, 1),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2999 07:28:00 GMT", 1e9, 1e12),
    ],
)
def test_retry_after(header: str, least: float, most: float) -> None:
    assert least <= transport._seconds(header) <= most
