"""The HTTP port: bounded, and told in one line when it cannot be had."""

import asyncio

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application

from kworkspace.hub import listening as module
from kworkspace.hub.config import HubOptions
from kworkspace.hub.listening import local_url, service_environment
from tests.hub.clock import until


@pytest.mark.parametrize(
    ("bind", "base", "url"),
    [
        ("http://127.0.0.1:8000", "/", "http://127.0.0.1:8000"),
        ("http://0.0.0.0:80", "/kw/", "http://127.0.0.1:80/kw"),
        ("http://[::]:80", "/", "http://[::1]:80"),
        ("http://hub.example:80", "/a/b/", "http://hub.example:80/a/b"),
    ],
)
def test_local_url(bind: str, base: str, url: str) -> None:
    assert local_url(HubOptions(bind_url=bind, base_url=base)) == url


def test_services_are_told_where_the_hubs_are() -> None:
    one = service_environment(HubOptions(bind_url="http://0.0.0.0:80", base_url="/kw/"))
    assert one["KWORKSPACE_API_URL"] == "http://127.0.0.1:80/kw/hub/api"
    options = HubOptions(hub_connect_url="https://balancer:8443/", base_url="/kw/")
    for prefix in ("KWORKSPACE", "JUPYTERHUB"):
        told = service_environment(options)
        assert told[f"{prefix}_API_URL"] == "https://balancer:8443/kw/hub/api"
        assert told[f"{prefix}_BASE_URL"] == "/kw/"


async def test_a_head_that_does_not_end_and_one_connection_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    server = module.BoundedServer(Application(), idle_connection_timeout=0.2)
    [listening] = bind_sockets(0, "127.0.0.1")
    server.add_sockets([listening])
    address = listening.getsockname()[:2]
    opened = [await asyncio.open_connection(*address) for _ in range(2)]
    for _, writer in opened:
        writer.write(b"GET / HTTP/1.1\r\n")
    await until(lambda: len(server._connections) == 2)
    reader, writer = await asyncio.open_connection(*address)
    async with asyncio.timeout(5):
        assert await reader.read() == b"", "the third is closed at once"
        for waiting, _ in opened:
            assert await waiting.read() == b"", "nobody is waited for without end"
    for each in (*opened, (reader, writer)):
        each[1].close()
        await each[1].wait_closed()
    server.stop()
    await server.close_all_connections()
