"""The synchronous transport against real sockets."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client import calls, replies, sync
from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError, NotFound, Unauthorized
from kworkspace.cli.client.sync import Client

if TYPE_CHECKING:
    from tests.cli.stand_in_hub import Hub

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def lines() -> Iterator[Callable[[list[bytes]], str]]:
    """Serve raw answers, one for each connection, whatever was asked; returns the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    threads: list[threading.Thread] = []

    def answer(answers: list[bytes]) -> None:
        for content in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(content)

    def start(answers: list[bytes]) -> str:
        thread = threading.Thread(target=answer, args=(answers,))
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "an answer was never asked for"
    listener.close()


ROOT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"version": "1", "ssh": null}'


def test_a_call(hub: "Hub") -> None:
    with Client(hub.url + "/") as client:
        assert client.send(calls.root()).version == "0.1.0"
        assert client.clock_offset is not None
        assert abs(client.clock_offset) < 10


def test_the_clock_offset_is_the_hubs_minus_ours(hub: "Hub") -> None:
    hub.clock_offset = 3600
    with Client(hub.url) as client:
        client.send(calls.root())
        assert client.clock_offset == pytest.approx(3600, abs=10)


def test_a_hubs_error_is_raised(hub: "Hub") -> None:
    hub.tokens["t"] = "alice"
    with Client(hub.url, token="t") as client, pytest.raises(NotFound, match="There is no"):
        client.send(calls.certificate("x", None))  # type: ignore[arg-type]


def test_the_token_is_renewed_once(hub: "Hub") -> None:
    hub.tokens["new"] = "alice"
    renewed: list[str | None] = []

    def renew(client: Client) -> str:
        renewed.append(client.token)
        return "new"

    with Client(hub.url, token="old", renew=renew) as client:
        assert client.send(calls.whoami()).name == "alice"
        assert client.send(calls.whoami()).name == "alice"
        assert renewed == [None]
        assert client.token == "new"


def test_a_renewed_token_that_is_refused_is_an_error(hub: "Hub") -> None:
    def renew(client: Client) -> str:
        with pytest.raises(Unauthorized):
            client.send(calls.whoami())  # a renewal must not renew
        return "wrong"

    with Client(hub.url, token="old", renew=renew) as client, pytest.raises(Unauthorized):
        client.send(calls.whoami())
    assert hub.asked("GET /hub/api/user") == 3


def test_the_token_of_a_stream_is_renewed_too(hub: "Hub") -> None:
    hub.tokens["new"] = "alice"
    hub.start_events = [{"progress": 10, "message": "one"}]
    with Client(hub.url, token="old", renew=lambda _: "new") as client:
        client.send(calls.start("alice"))
        client.token = "old"
        events = list(client.stream(calls.progress("alice")))
    assert [event.message for event in events] == ["one", "Your workspace is ready"]
    assert events[-1].ready


def test_a_get_is_tried_again_when_the_connection_breaks(
    lines: Callable[[list[bytes]], str],
) -> None:
    with Client(lines([b"", b"", ROOT])) as client:
        assert client.send(calls.root()).version == "1"


def test_a_post_is_never_sent_twice(lines: Callable[[list[bytes]], str]) -> None:
    with Client(lines([b""])) as client, pytest.raises(HubUnreachable, match="broke off"):
        client.send(calls.challenge())


@pytest.mark.parametrize("ending", [b"", b"Content-Length: 999\r\n"])
def test_events_arrive_without_chunks(lines: Callable[[list[bytes]], str], ending: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + ending
    url = lines([head + b'\r\n: x\n\ndata: {"message": "one"}\n\n'])
    with Client(url) as client:
        stream = client.stream(calls.progress("alice"))
        assert next(stream).message == "one"
        if ending:  # it was to be longer
            with pytest.raises(HubUnreachable, match="broke off"):
                next(stream)
        else:
            assert list(stream) == []


def test_a_stream_that_breaks_off(hub: "Hub") -> None:
    hub.tokens["t"] = "alice"
    hub.start_events = [{"progress": 10, "message": "one"}]
    hub.break_streams = 1
    with Client(hub.url, token="t") as client:
        client.send(calls.start("alice"))
        stream = client.stream(calls.progress("alice"))
        assert next(stream).message == "one"
        with pytest.raises(HubUnreachable, match="broke off"):
            next(stream)


@pytest.mark.parametrize("content", [b"data: {\n\n", b"data: [1]\n\n", b'data: {"ready": 7}\n\n'])
def test_a_stream_of_something_else(lines: Callable[[list[bytes]], str], content: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with Client(lines([head + content])) as client:
        stream = client.stream(calls.progress("alice"))
        with pytest.raises(HubUnreachable, match="not a kworkspace hub"):
            next(stream)


def test_the_answer_to_a_stream_may_be_an_error(hub: "Hub") -> None:
    hub.answers["GET /hub/api/users/alice/server/progress"] = (
        404,
        JSON,
        b'{"status": 404, "message": "nothing there"}',
    )
    with Client(hub.url) as client, pytest.raises(NotFound, match="nothing there"):
        list(client.stream(calls.progress("alice")))


def test_a_redirect_gets_no_token(hub: "Hub") -> None:
    target = f"{hub.url}/elsewhere"
    hub.answers["GET /hub/api/user"] = (302, {"Location": target}, b"")
    with Client(hub.url, token="t") as client, pytest.raises(HubUnreachable, match="sends us on"):
        client.send(calls.whoami())
    assert hub.requests == ["GET /hub/api/user"]


def test_a_silent_hub() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        listener,
        Client(url, seconds=0.1) as client,
        pytest.raises(HubUnreachable, match="does not answer"),
    ):
        client.send(calls.root())


def test_a_silent_stream(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "SILENCE_SECONDS", 0.2)
    hub.go_on.clear()
    hub.tokens["t"] = "alice"
    with Client(hub.url, token="t") as client:
        client.send(calls.start("alice"))
        with pytest.raises(HubUnreachable, match="does not answer"):
            list(client.stream(calls.progress("alice")))


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
def test_an_answer_without_end(
    status: bytes, lines: Callable[[list[bytes]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MAX_REPLY", 2**20)
    head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n\r\n"
    with (
        Client(lines([head + b" " * (2**20 + 1)])) as client,
        pytest.raises(HubUnreachable, match="larger than 1 MB"),
    ):
        client.send(calls.root())


def test_the_largest_answer_is_16_mb() -> None:
    replies.check_size(16 * 2**20)
    with pytest.raises(HubUnreachable, match="larger than 16 MB"):
        replies.check_size(16 * 2**20 + 1)


def test_nothing_is_decompressed(lines: Callable[[list[bytes]], str]) -> None:
    content = gzip.compress(b'{"version": "1"}' + b" " * 2**20)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"
    with (
        Client(lines([head + content])) as client,
        pytest.raises(HubUnreachable, match="not one of a kworkspace hub"),
    ):
        client.send(calls.root())


def test_an_answer_drop_by_drop(lines: Callable[[list[bytes]], str]) -> None:
    with (
        Client(lines([ROOT]), seconds=-1.0) as client,
        pytest.raises(HubUnreachable, match="too slowly"),
    ):
        client._read(client._pool.request("GET", client.url, preload_content=False))


def test_an_event_without_end(lines: Callable[[list[bytes]], str]) -> None:
    with Client(lines([EVENTS + b"data: " + b"x" * 2**20])) as client:
        stream = client.stream(calls.progress("alice"))
        with pytest.raises(HubUnreachable, match="larger than 1 MB"):
            next(stream)


@pytest.mark.parametrize("event", [b'"\xff"', b'{"message": "\xff"}', b"[" * 100_000])
def test_an_event_of_any_bytes(event: bytes, lines: Callable[[list[bytes]], str]) -> None:
    with Client(lines([EVENTS + b"data: " + event + b"\n\n"])) as client:
        stream = client.stream(calls.progress("alice"))
        with pytest.raises(HubUnreachable, match="not a kworkspace hub"):
            next(stream)


def test_a_broken_error_in_place_of_a_stream(lines: Callable[[list[bytes]], str]) -> None:
    head = b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
    with Client(lines([head + b"{"] * 3)) as client, pytest.raises(HubUnreachable, match="broke"):
        next(client.stream(calls.progress("alice")))


def test_json_in_place_of_a_stream(lines: Callable[[list[bytes]], str]) -> None:
    with Client(lines([ROOT])) as client, pytest.raises(HubUnreachable, match="not a kworkspace"):
        next(client.stream(calls.progress("alice")))


@pytest.mark.parametrize(
    "header",
    [
        b"200 OK\r\nDate: Mon, 01 Jan 99999999999 00:00:00 GMT",
        b"200 OK\r\nDate: 1 Jan 2020 00:00:00 +99999999999999999999",
        b"302 Found\r\nLocation: http://[",
        b"302 Found\r\nLocation: \xff\x1b[2J",
        b"429 Slow\r\nRetry-After: \xb2",
        b"200 OK\r\nContent-Length: -1",
        b"200 OK\r\nTransfer-Encoding: chunked",
        b"99999 Odd",
        b"200 OK\r\nX: " + b"y" * 70_000,
    ],
)
def test_headers_of_a_hostile_hub(header: bytes, lines: Callable[[list[bytes]], str]) -> None:
    answer = b"HTTP/1.1 " + header + b"\r\nContent-Type: application/json\r\n\r\n"
    # Once for the call, which is no GET, so that it is never made again.
    url = lines([answer + b'{"nonce": "n", "expires_in": 1}'])
    with Client(url) as client, suppress(KworkspaceError):
        client.send(calls.challenge())


def test_a_connection_is_used_again(hub: "Hub") -> None:
    with Client(hub.url) as client:
        client.send(calls.root())
        client.send(calls.root())
        (pool,) = (client._pool.pools.get(key) for key in client._pool.pools.keys())  # noqa: SIM118
        assert pool is not None
        assert (pool.num_connections, pool.num_requests) == (1, 2)
