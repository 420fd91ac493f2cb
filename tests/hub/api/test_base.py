"""What every answer has in common: errors of one shape, headers, bodies, request ids."""

import asyncio
import logging
import string

import pytest
from sqlalchemy import text

from kworkspace.cli.client.errors import (
    Conflict,
    Forbidden,
    KworkspaceError,
    StartFailed,
    TooMany,
    Unavailable,
)
from kworkspace.hub.api.base import MAX_BODY_BYTES, PUBLIC, BaseHandler
from kworkspace.hub.starts import Limits
from tests.hub.api.conftest import OpenWeb, Web
from tests.hub.parts import OpenParts


async def raise_in_start(web: Web, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(web.parts.servers), "start", fail)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Forbidden("no"), 403, "no"),
        (Conflict("no"), 409, "no"),
        (TooMany("no", 7), 429, "no"),
        (KworkspaceError("no"), 500, "no"),
        (StartFailed("no"), 500, "no"),
        (Unavailable("no"), 503, "no"),
        (ZeroDivisionError("a secret"), 500, "The hub failed; tell an admin the request id r-1"),
    ],
)
async def test_errors_have_one_shape(
    web: Web, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, message: str
) -> None:
    alice = await web.parts.token("alice")
    await raise_in_start(web, error, monkeypatch)
    reply = await web("POST", "/hub/api/users/alice/server", alice, X_Request_Id="r-1")
    assert reply.error == (status, message)
    assert reply.headers["X-Request-Id"] == "r-1"
    assert reply.headers.get("Retry-After") == ("7" if status == 429 else None)
    for name, value in (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")):
        assert reply.headers[name] == value
    assert reply.headers["Server"] == "kworkspace"


async def test_what_we_did_wrong_is_logged_with_its_traceback(
    web: Web, alice: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await raise_in_start(web, ZeroDivisionError("details"), monkeypatch)
    await web("POST", "/hub/api/users/alice/server", alice)
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert "details" in caplog.text


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "BREW", "TRACE"])
async def test_methods_that_are_not_there(web: Web, alice: str, method: str) -> None:
    for path, allowed in (
        ("/hub/api/users/alice/server", "DELETE, GET, POST, PUT"),
        ("/hub/api/", "GET"),
        ("/", "GET"),
        ("/static/page.css", "GET"),
    ):
        reply = await web(method, path, alice)
        assert reply.status == 405, path
        assert reply.headers["Allow"] == allowed
        assert reply.headers["X-Request-Id"]
        if method != "HEAD" and path.startswith("/hub"):
            assert reply.error == (405, "Method Not Allowed")


@pytest.mark.parametrize(
    "path",
    ["/hub/api/nothing", "/nothing", "/hub", "/hub/api/users/alice/nothing", "//", "/%2e%2e"],
)
async def test_paths_that_are_not_there(web: Web, alice: str, path: str) -> None:
    for token in (None, alice):
        assert (await web("GET", path, token)).error == (404, "There is nothing at this path")


async def test_request_id(web: Web) -> None:
    async def answered(given: str) -> str:
        return (await web("GET", "/hub/api/", X_Request_Id=given)).headers["X-Request-Id"]

    sane = "a-Z_09"
    assert await answered(sane) == sane
    assert await answered("x" * 64) == "x" * 64
    for bad in ("", "x" * 65, "a b", "é", "<script>", "a;b"):
        made = await answered(bad)
        assert len(made) == 16
        assert set(made) <= set(string.hexdigits)
    assert (await web("GET", "/nothing", X_Request_Id=sane)).headers["X-Request-Id"] == sane


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a%2Fb", "name: a user name must not contain '/'"),
        ("..", "name: a user name must not begin with '.'"),
        ("%2e%2e", "name: a user name must not begin with '.'"),
        ("%00", "control characters (U+0000)"),
        ("a%0Ab", "control characters (U+000A)"),
        ("a%20b", "control characters (U+0020)"),
        ("a+b", "name: a user name must not contain '+'"),
        ("a" * 300, "name: a user name has at most 255 bytes, this one has 300"),
        ("kworkspace", "name: 'kworkspace' is a reserved name"),
        ("%ff", "user_name"),
        ("%C3%28", "user_name"),
    ],
)
async def test_user_names_that_cannot_be(
    web: Web, alice: str, ada: str, name: str, said: str
) -> None:
    for method, path in (("GET", ""), ("POST", "/server"), ("GET", "/server/progress")):
        for token in (alice, ada):
            status, message = (await web(method, f"/hub/api/users/{name}{path}", token)).error
            assert status == 400
            assert said in message


@pytest.mark.parametrize("name", ["%2F", "..", "A", "a.b", "-a", "a" * 64, "a%0A", "%00", "a%20"])
async def test_workspace_names_that_cannot_be(web: Web, alice: str, name: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        path = f"/hub/api/users/alice/servers/{name}"
        status, message = (await web(method, path, alice)).error
        assert (status, message.partition(":")[0]) == (400, "server_name")


async def test_names_are_normalised(web: Web, alice: str) -> None:
    assert (await web("GET", "/hub/api/users/ALICE", alice)).json["name"] == "alice"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "body: not valid JSON"),
        (b"\xff\xfe", "body: not valid JSON"),
        (b'{"user": "\xff"}', "body: not valid JSON"),
        (b"[]", "body: expected `object`, got `array`"),
        (b"null", "body: expected `object`, got `null`"),
        (b"{}", "user: object missing required field `user`"),
        (b"", "user: object missing required field `user`"),
        (b'{"user": 1}', "user: expected `str`, got `int`"),
        (b'{"x": 1}', "x: object contains unknown field `x`"),
        (b'{"user": ' + b"[" * 100_000, "user: expected `str`, got `array`"),
        (b'{"user": "a\\ud800", "url": "u", "nonce": "n", "signature": "s"}', "body: not valid"),
    ],
)
async def test_bodies_that_cannot_be(web: Web, body: bytes, said: str) -> None:
    status, message = (await web("POST", "/hub/api/auth/token", data=body)).error
    assert (status, message[: len(said)]) == (400, said)


async def test_deep_and_large_options(web: Web, alice: str) -> None:
    """What is accepted can be shown again; what is not is a 400."""
    path = "/hub/api/users/alice/server"
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for data, said in ((deep, "body"), (b'{"a":1e999}', ""), (b'{"a":' + b"9" * 5000 + b"}", "")):
        status, message = (await web("POST", path, alice, data=data)).error
        assert status == 400, data[:20]
        assert message.startswith(said)
    assert (await web("POST", path, alice, json={"a": [1, {"b": "ü\0"}]})).status == 201
    shown = (await web("GET", path, alice)).json["user_options"]
    assert shown == {"a": [1, {"b": "ü\0"}]}


async def test_bodies_that_are_too_large(web: Web, alice: str) -> None:
    path = "/hub/api/users/alice/server"
    status, message = (await web("POST", path, alice, data=b" " * (MAX_BODY_BYTES + 1))).error
    assert (status, message) == (413, "body: more than 262144 bytes")
    assert (await web("GET", "/hub/api/user", alice)).status == 200


async def test_unknown_fields(web: Web, alice: str) -> None:
    """JupyterHub's routes ignore them; our own refuse them."""
    path = "/hub/api/users/alice/tokens"
    assert (await web("POST", path, alice, json={"note": "n", "roles": []})).status == 201
    challenge = await web("POST", "/hub/api/auth/challenge")
    body = {"user": "alice", "url": "x", "nonce": challenge.json["nonce"], "signature": "", "y": 1}
    assert (await web("POST", "/hub/api/auth/token", json=body)).error[0] == 400


async def test_expired_token(web: Web) -> None:
    token = await web.parts.token("alice", 60)
    assert (await web("GET", "/hub/api/user", token)).status == 200
    web.parts.clock.advance(60)
    reply = await web("GET", "/hub/api/user", token)
    assert reply.error == (401, "The token is unknown or has expired: sign in again")


async def test_both_words_for_a_token(web: Web, alice: str) -> None:
    for word in ("token", "Token", "Bearer", "bearer"):
        reply = await web("GET", "/hub/api/user", Authorization=f"{word} {alice}")
        assert reply.status == 200
    assert (await web("GET", f"/hub/api/user?token={alice}")).status == 401


async def test_limit_is_429(open_hub: OpenParts, open_web: OpenWeb) -> None:
    web = open_web(await open_hub(limits=Limits(concurrent_spawns=1)))
    web.parts.spawner.behaviour = lambda _: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    web.parts.domain.slow_spawn_seconds = 0
    alice, bob = await web.parts.token("alice"), await web.parts.token("bob")
    assert (await web("POST", "/hub/api/users/alice/server", alice)).status == 202
    reply = await web("POST", "/hub/api/users/bob/server", bob)
    assert reply.error == (429, "1 workspaces are starting at once: try again in a moment")
    assert reply.headers["Retry-After"] == "10"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_full_disk_is_503(web: Web, alice: str) -> None:
    async with web.parts.store._engine.connect() as connection:
        await connection.execute(text("PRAGMA query_only = 1"))
    reply = await web("POST", "/hub/api/users/alice/server", alice)
    assert reply.error[0] == 503
    assert (await web("GET", "/hub/api/users/alice", alice)).json["servers"] == {}
    async with web.parts.store._engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute("PRAGMA query_only = 0")
    assert (await web("POST", "/hub/api/users/alice/server", alice)).status == 201


async def test_refusals_are_in_the_audit_log(web: Web, alice: str) -> None:
    await web("GET", "/hub/api/users/bob", alice)
    await web("GET", "/hub/api/users", alice)
    await web("GET", "/hub/api/users/bob")
    await web("GET", "/hub/api/nothing")
    refused = [event for event in await web.parts.events() if event[1] != "ok"]
    assert refused == [
        ("get user", "not-found", "alice", "bob"),
        ("get users", "forbidden", "alice", None),
        ("get user", "unauthorized", "anonymous", "bob"),
    ]


async def test_whose_request_was_refused(web: Web, alice: str) -> None:
    """By its path or its body, as it was written, but for what no database and terminal takes."""
    assert (await web("GET", "/hub/api/users/a%00b")).status == 401
    assert (await web("POST", "/hub/api/users/alice/server", alice)).status == 201
    assert (await web("POST", "/hub/api/users/alice/server", alice)).status == 400
    refused = [event for event in await web.parts.events() if event[1] != "ok"]
    assert refused[0] == ("get user", "unauthorized", "anonymous", "a?b")
    assert refused[-1] == ("post server", "already-running", "alice", "alice")


def test_a_method_without_a_scope_cannot_be_written() -> None:
    def get(_: BaseHandler) -> None: ...

    with pytest.raises(TypeError, match=r"Bad\.get declares no scope"):
        type("Bad", (BaseHandler,), {"get": get})
    type("Good", (BaseHandler,), {"get": get, "scopes": {"GET": PUBLIC}})
