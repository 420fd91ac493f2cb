"""Proxies of the environment, by a real proxy, and which certificates are trusted."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kworkspace.cli.client import calls, ways
from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.pools import open_pool
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.ways import proxy_for, trust

if TYPE_CHECKING:
    from tests.cli.conftest import Authority


@dataclass
class Proxy:
    """What a proxy of the test was asked for."""

    port: int = 0
    connect_status: int = 407
    seen: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that answers for every hub itself."""
    state = Proxy()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            credentials = self.headers.get("Proxy-Authorization", "")
            state.seen.append((f"{self.command} {self.path}", credentials))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"version": "by proxy", "ssh": null}')

        def do_CONNECT(self) -> None:
            state.seen.append((f"CONNECT {self.path}", ""))
            self.send_error(state.connect_status)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield state
        server.shutdown()
        thread.join(20)


def version(url: str) -> str:
    """Ask a hub for its version."""
    with Client(url) as client:
        return client.send(calls.root()).version


def test_http_goes_through_the_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://alice:ge%40heim@127.0.0.1:{proxy.port}")
    assert version("http://hub.invalid:8000") == "by proxy"
    assert proxy.seen == [("GET http://hub.invalid:8000/hub/api/", "Basic YWxpY2U6Z2VAaGVpbQ==")]


def test_a_proxy_without_a_scheme(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{proxy.port}")
    assert version("http://hub.invalid") == "by proxy"


def test_a_proxy_that_refuses_the_tunnel(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://alice:geheim@127.0.0.1:{proxy.port}")
    with pytest.raises(HubUnreachable) as caught:
        version("https://hub.invalid")
    assert "its proxy (HTTPS_PROXY, HTTP_PROXY) fails: " in caught.value.message
    assert "407" in caught.value.message
    assert "geheim" not in caught.value.message
    assert [seen for seen, _ in proxy.seen] == ["CONNECT hub.invalid:443"]


def test_a_proxy_that_is_not_there(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(HubUnreachable, match=r"its proxy .* fails: Connection refused"):
        version("https://hub.invalid")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("127.evil.invalid", False)],
)
def test_only_loopback_is_never_proxied(
    host: str, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    assert (proxy_for(f"http://{host}:8000") is None) is local


def test_a_proxy_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://alice:geheim@127.0.0.1:1")
    with pytest.raises(HubUnreachable) as caught:
        open_pool("https://hub.invalid", None)
    assert "socks5://127.0.0.1:1, is not an http or https one" in caught.value.message
    assert "geheim" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("https://hub.example.org", "", True),
        ("https://hub.example.org", "example.org", False),
        ("https://hub.example.org:8443", ".example.org", False),
        ("https://hub.example.org", "other.org", True),
        ("https://hub.example.org", "*", False),
        ("http://hub.example.org", "", False),
        ("https://127.0.0.1:8000", "", False),
        ("https://localhost", "", False),
        ("https://[::1]:8000", "", False),
    ],
)
def test_who_is_proxied(
    url: str, no_proxy: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == ("http://proxy:3128" if proxied else None)


def test_the_systems_certificates_are_trusted(
    authority: "Authority", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert "test" in str(trust(None).get_ca_certs())


def test_certifi_where_the_system_has_none(
    authority: "Authority", monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = SimpleNamespace(cafile=None, capath=None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    certifi = SimpleNamespace(where=lambda: str(authority.file))
    monkeypatch.setattr(ways, "import_module", lambda name: certifi)
    assert "test" in str(trust(None).get_ca_certs())


def test_certificates_are_verified(authority: "Authority") -> None:
    for file in (None, Path(authority.file)):
        context = trust(file)
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
