"""Why the hub is not reached: each reason by a real socket, each with what to do."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client import calls, sync
from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.unreachable import CertificateDates

if TYPE_CHECKING:
    from tests.cli.conftest import Authority, Serve
    from tests.cli.stand_in_hub import Hub


def why(url: str, ca_file: Path | None = None) -> HubUnreachable:
    """Ask a hub for its version and return why there is no answer."""
    with Client(url, ca_file=ca_file) as client, pytest.raises(HubUnreachable) as caught:
        client.send(calls.root())
    assert "\n" not in caught.value.message
    assert "object at 0x" not in caught.value.message
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_refused(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    assert why(url).message == (
        f"cannot reach the hub at {url}: the connection is refused;"
        " is the hub running, and the port right?"
    )


def test_no_such_host() -> None:
    message = why("https://no-hub.invalid").message
    assert "no address is known for no-hub.invalid; check the name" in message


def test_no_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "CONNECT_SECONDS", 0.3)
    with contextlib.ExitStack() as stack:
        # A full backlog: the kernel drops what comes next, as a firewall does.
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        message = why(f"http://127.0.0.1:{listener.getsockname()[1]}").message
    assert "127.0.0.1 does not respond; check the network" in message


def test_a_good_certificate(serve: "Serve", authority: "Authority") -> None:
    hub = serve(authority.context())
    with Client(hub.url, ca_file=authority.file) as client:
        assert client.send(calls.root()).version == "0.1.0"


def test_unknown_authority(serve: "Serve", authority: "Authority") -> None:
    hub = serve(authority.context())
    message = why(hub.url).message
    assert "signed by nobody that this computer trusts" in message
    assert "set ca_file" in message


def test_another_host(serve: "Serve", authority: "Authority") -> None:
    hub = serve(authority.context("hub.example.org"))
    message = why(hub.url, authority.file).message
    assert "is not made for 127.0.0.1; use the hub's own name in --api" in message


@pytest.mark.parametrize(
    ("days", "state"), [((-5, -2), "has expired"), ((2, 5), "is not valid yet")]
)
def test_dates(
    serve: "Serve", authority: "Authority", days: tuple[float, float], state: str
) -> None:
    hub = serve(authority.context(begins=days[0], ends=days[1]))
    hub.clock_offset = days[0] * 86400 + 3600
    error = why(hub.url, authority.file)
    assert error.message == f"the TLS certificate of {hub.url} {state}"
    assert isinstance(error, CertificateDates)
    assert error.clock_offset == pytest.approx(hub.clock_offset, abs=10)
    assert hub.requests == ["HEAD /hub/api/"]  # nothing else went over the unverified connection


def test_dates_of_a_host_that_tells_no_time(serve: "Serve", authority: "Authority") -> None:
    hub = serve(authority.context(begins=-5, ends=-2))
    hub.tells_time = False
    error = why(hub.url, authority.file)
    assert isinstance(error, CertificateDates)
    assert error.clock_offset is None


def test_https_to_a_plain_port(hub: "Hub") -> None:
    url = hub.url.replace("http:", "https:")
    assert why(url).message == f"{url} does not speak TLS; does it want http:// instead?"


def test_https_to_a_port_that_waits_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Tornado does, for which a TLS greeting is the begin of a request's first line."""
    monkeypatch.setattr(sync, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        message = why(f"https://127.0.0.1:{listener.getsockname()[1]}").message
    assert "it answers nothing in TLS; does it want http:// instead?" in message


def test_http_to_a_tls_port(serve: "Serve", authority: "Authority") -> None:
    url = serve(authority.context()).url.replace("https:", "http:")
    assert "the connection broke off; does it want https?" in why(url).message


def test_not_even_http() -> None:
    def banner() -> None:
        for _ in range(sync.TRIES):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=banner)
        thread.start()
        message = why(f"http://127.0.0.1:{listener.getsockname()[1]}").message
        thread.join(20)
    assert "the connection broke off" in message


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (200, {"Content-Type": "text/html"}, "not a kworkspace hub (HTTP 200, text/html)"),
        (404, {"Content-Type": "text/html; charset=utf-8"}, "(HTTP 404, text/html); check --api"),
        (500, {}, "not a kworkspace hub (HTTP 500)"),
        (407, {"Content-Type": "text/html"}, "wants a user name and password"),
        (502, {"Content-Type": "text/html"}, "answers HTTP 502: the hub behind it is not up"),
        (503, {}, "answers HTTP 503: the hub behind it is not up"),
        (301, {"Location": "https://new.example.org/hub/api/"}, "sends us on to https://new.ex"),
        (302, {"Location": "/login"}, "sends us on to /login"),
    ],
)
def test_something_else_answers(
    hub: "Hub", status: int, headers: dict[str, str], text: str
) -> None:
    hub.answers["GET /hub/api/"] = (status, headers, b"<html>")
    assert text in why(hub.url).message


def test_json_of_something_else(hub: "Hub") -> None:
    headers = {"Content-Type": "application/json"}
    hub.answers["GET /hub/api/"] = (200, headers, b'{"hello": "world"}')
    assert "not one of a kworkspace hub" in why(hub.url).message


def test_ca_file_without_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(HubUnreachable, match=f"ca_file: {file} holds no PEM certificates"):
        Client("https://hub.example.org", ca_file=file)
