"""Signing in with real signatures; whatever is wrong, the answer is the same."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from kworkspace.cli.client.challenge import challenge_text
from kworkspace.hub import login
from kworkspace.hub.db import models as db
from tests.hub.api.conftest import OpenWeb, Reply, Web
from tests.hub.conftest import KeyFile
from tests.hub.parts import PUBLIC_URL, OpenParts

Keys = dict[str, KeyFile]


async def nonce(web: Web) -> str:
    reply = await web("POST", "/hub/api/auth/challenge")
    assert (reply.status, reply.json["expires_in"]) == (201, 60)
    return str(reply.json["nonce"])


async def signed(
    web: Web,
    key: KeyFile,
    *,
    user: str = "alice",
    url: str = PUBLIC_URL,
    namespace: str = "kworkspace",
    signed_url: str | None = None,
    given: str | None = None,
) -> dict[str, str]:
    """Return a request for a token, as the command makes it."""
    one = await nonce(web) if given is None else given
    text = challenge_text(url=signed_url or url, user=user, nonce=one)
    return {"user": user, "url": url, "nonce": one, "signature": key.sign(text, namespace)}


async def ask(web: Web, request: dict[str, Any]) -> Reply:
    return await web("POST", "/hub/api/auth/token", json=request)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
async def test_sign_in(open_hub: OpenParts, open_web: OpenWeb, keys: Keys, kind: str) -> None:
    web = open_web(await open_hub(users={"alice": [keys[kind].line]}))
    reply = await ask(web, await signed(web, keys[kind]))
    assert (reply.status, reply.json["user"], reply.json["expires_in"]) == (201, "alice", 3600)
    token = reply.json["token"]
    assert (await web("GET", "/hub/api/user", token)).json["name"] == "alice"
    assert ("token.new", "ok", "anonymous", "alice") in await web.parts.events()
    web.parts.clock.advance(3600)
    assert (await web("GET", "/hub/api/user", token)).status == 401


async def test_url_is_compared_as_it_is_signed(web: Web, keys: Keys) -> None:
    request = await signed(web, keys["ed25519"], url="https://HUB.example:443/")
    assert (await ask(web, request)).status == 201


async def test_names_are_normalised(web: Web, keys: Keys) -> None:
    request = await signed(web, keys["ed25519"])
    assert (await ask(web, request | {"user": "ALICE"})).status == 201


async def refusals(web: Web, keys: Keys) -> dict[str, dict[str, str]]:
    """Return every way to be refused."""
    alices, bobs, rsa = keys["ed25519"], keys["other"], keys["rsa"]
    good = await signed(web, alices)
    replayed = await signed(web, alices)
    assert (await ask(web, replayed)).status == 201
    old = await signed(web, alices)
    web.parts.clock.advance(61)
    good = await signed(web, alices)
    name, _, rest = good["nonce"].partition("|")
    other = "https://other.example"
    return {
        "unknown user": await signed(web, alices, user="nobody"),
        "a key that nobody has": await signed(web, rsa),
        "somebody else's key": await signed(web, bobs),
        "expired": old,
        "replayed": replayed,
        "another hub's URL": await signed(web, alices, url=other),
        "signed for another hub": await signed(web, alices, signed_url=other),
        "another namespace": await signed(web, alices, namespace="file"),
        "another hub's nonce": await signed(web, alices, given="2|1:0|10:1893553445|9:challenge"),
        "a forged nonce": await signed(web, alices, given=f"{name}|x{rest}"),
        "no nonce": await signed(web, alices, given=""),
        "a nonce with lines": await signed(web, alices, given="a\nuser: bob"),
        "somebody else's signature": good | {"signature": bobs.sign(b"something")},
        "no signature": good | {"signature": ""},
        "a large signature": good | {"signature": "x" * 100_000},
        "changed user": good | {"user": "bob"},
    }


async def test_refusals_are_one_answer(
    web: Web, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, for as long, and each of them in the audit log."""
    monkeypatch.setattr(login, "REFUSAL_SECONDS", 0.03)
    requests = await refusals(web, keys)
    answers = set()
    for what, request in requests.items():
        began = asyncio.get_running_loop().time()
        reply = await ask(web, request)
        took = asyncio.get_running_loop().time() - began
        assert reply.error[0] == 403, what
        assert took >= 0.03, what
        headers = {
            name: value
            for name, value in reply.headers.items()
            if name.lower() not in {"date", "x-request-id"}
        }
        answers.add((reply.body, str(sorted(headers.items()))))
    assert len(answers) == 1
    refused = [event for event in await web.parts.events() if event[1] == "forbidden"]
    users = [request["user"] for request in requests.values()]
    assert refused == [("post token", "forbidden", "anonymous", user) for user in users]
    async with web.parts.store.begin() as session:
        used = await session.scalars(select(func.count()).select_from(db.UsedChallenge))
        assert used.one() == 1, "a refusal writes nothing else"


async def test_twice_at_once(web: Web, keys: Keys) -> None:
    request = await signed(web, keys["ed25519"])
    replies = await asyncio.gather(*(ask(web, request) for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [201, 403, 403, 403]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user": "a/b"}, "user"),
        ({"user": ""}, "user"),
        ({"user": 1}, "user"),
        ({"url": "ftp://hub.example"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://hub.example/?x=1"}, "url"),
        ({"url": ""}, "url"),
        ({"nonce": None}, "nonce"),
        ({"signature": []}, "signature"),
        ({"note": 1}, "note"),
        ({"more": 1}, "more"),
    ],
)
async def test_fields_that_cannot_be(web: Web, change: dict[str, Any], field: str) -> None:
    request = {"user": "alice", "url": PUBLIC_URL, "nonce": "n", "signature": "s"}
    status, message = (await ask(web, request | change)).error
    assert (status, message.partition(":")[0]) == (400, field)


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"{", "body: not valid JSON"), (b'{"user": "alice"}', "user: "), (b"[]", "body: expected")],
)
async def test_a_challenge_takes_no_body(web: Web, body: bytes, said: str) -> None:
    reply = await web("POST", "/hub/api/auth/challenge", data=body)
    assert reply.status == 400
    assert reply.json["message"].startswith(said)


async def test_used_challenges_are_forgotten_when_they_are_over(web: Web, keys: Keys) -> None:
    async def used() -> int:
        async with web.parts.store.begin() as session:
            query = select(func.count()).select_from(db.UsedChallenge)
            return (await session.scalars(query)).one()

    request = await signed(web, keys["ed25519"])
    await ask(web, request)
    web.parts.clock.advance(60)
    await web.parts.tokens.purge()
    assert await used() == 1
    web.parts.clock.advance(61)
    await web.parts.tokens.purge()
    assert await used() == 0
    assert (await ask(web, request)).status == 403


async def test_sign_out(web: Web, alice: str) -> None:
    other = await web.parts.token("alice")
    assert (await web("DELETE", "/hub/api/auth/token", alice)).status == 204
    assert (await web("GET", "/hub/api/user", alice)).status == 401
    assert (await web("GET", "/hub/api/user", other)).status == 200
    assert (await web("DELETE", "/hub/api/auth/token", alice)).status == 401


async def test_no_secret_in_log_or_events(
    web: Web, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    request = await signed(web, keys["ed25519"])
    token = (await ask(web, request)).json["token"]
    await web("GET", "/hub/api/users/bob", token)
    await ask(web, request)
    await web.parts.events()
    async with web.parts.store.begin() as session:
        kept = str([vars(row) for row in (await session.scalars(select(db.Event))).all()])
    for secret in (token, request["signature"], request["nonce"]):
        assert secret not in kept
        assert secret not in caplog.text
