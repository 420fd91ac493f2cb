"""Keys over REST: one's own, and everybody's for an admin."""

from kworkspace.cli.client.models import Key
from tests.hub.api.conftest import Web, counted_queries
from tests.hub.clock import until
from tests.hub.conftest import KeyFile

KEYS = "/hub/api/users/alice/keys"


async def test_ones_own(web: Web, alice: str, keys: dict[str, KeyFile]) -> None:
    [own] = (await web("GET", KEYS, alice)).json
    assert (own["id"], own["source"], set(own)) == (
        None,
        "configuration",
        set(Key.__struct_fields__),
    )
    reply = await web("POST", KEYS, alice, json={"key": keys["rsa"].line})
    assert (reply.status, reply.json["source"]) == (201, "database")
    path = f"{KEYS}/{reply.json['id']}"
    assert len((await web("GET", KEYS, alice)).json) == 2
    assert (await web("DELETE", path, alice)).status == 204
    assert (await web("DELETE", path, alice)).error[0] == 404
    assert (await web("POST", KEYS, alice, json={"key": keys["ed25519"].line})).error[0] == 409


async def test_an_admin(web: Web, ada: str, keys: dict[str, KeyFile]) -> None:
    reply = await web("POST", KEYS, ada, json={"key": keys["rsa"].line})
    assert reply.status == 201
    assert (await web("DELETE", f"{KEYS}/{reply.json['id']}", ada)).status == 204
    assert (await web("GET", "/hub/api/users/nobody/keys", ada)).error[0] == 404


async def test_nobody_elses(web: Web, alice: str, keys: dict[str, KeyFile]) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"key": keys["rsa"].line}),
        ("DELETE", "/x", None),
    ):
        reply = await web(method, f"/hub/api/users/bob/keys{path}", alice, json=body)
        assert reply.error == (404, "User bob does not exist")


async def test_what_cannot_be(web: Web, alice: str) -> None:
    for body, said in (
        ({"key": "x"}, "key: a public key line begins with its type"),
        ({"key": 1}, "key: expected `str`"),
        ({}, "key: object missing required field"),
        ({"key": "x", "more": 1}, "more: object contains unknown field"),
    ):
        status, message = (await web("POST", KEYS, alice, json=body)).error
        assert status == 400
        assert message.startswith(said)


async def test_a_list_issues_no_query(web: Web, alice: str, ada: str) -> None:
    with counted_queries(web.parts) as statements:
        for token in (alice, ada):
            assert (await web("GET", KEYS, token)).status == 200
        assert statements == []


async def test_a_token_removes_the_key_that_made_it(
    web: Web, ada: str, keys: dict[str, KeyFile]
) -> None:
    """It is answered, and is then worth nothing."""
    key = (await web("POST", KEYS, ada, json={"key": keys["rsa"].line})).json
    async with web.parts.store.begin() as session:
        made = await web.parts.tokens.issue(
            session, "alice", note="", expires_in=60, key_fingerprint=key["fingerprint"]
        )
    assert (await web("GET", KEYS, made.token)).status == 200
    assert (await web("DELETE", f"{KEYS}/{key['id']}", made.token)).status == 204
    assert (await web("GET", KEYS, made.token)).error[0] == 401
    await until(lambda: not web.parts.consequences._at_work)
