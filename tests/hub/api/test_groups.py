"""Groups over REST, as JupyterHub's clients know them."""

import pytest

from kworkspace.hub.api.paging import PAGINATED
from tests.hub.api.conftest import Web, counted_queries

ML = "/hub/api/groups/ml"


async def test_from_beginning_to_end(web: Web, ada: str) -> None:
    reply = await web("POST", ML, ada, json={"users": ["alice"]})
    assert (reply.status, reply.json) == (
        201,
        {"name": "ml", "users": ["alice"], "kind": "group"},
    )
    assert (await web("POST", ML, ada)).error == (409, "Group ml exists already")
    reply = await web("POST", f"{ML}/users", ada, json={"users": ["bob"]})
    assert (reply.status, reply.json["users"]) == (200, ["alice", "bob"])
    reply = await web("DELETE", f"{ML}/users", ada, json={"users": ["alice"]})
    assert (reply.status, reply.json["users"]) == (200, ["bob"])
    assert (await web("GET", ML, ada)).json == reply.json
    assert (await web("GET", "/hub/api/users/bob", ada)).json["groups"] == ["ml"]
    reply = await web("DELETE", ML, ada)
    assert (reply.status, reply.body) == (204, b"")
    assert (await web("GET", ML, ada)).error == (404, "Group ml does not exist")


async def test_pages(web: Web, ada: str) -> None:
    for name in ("c", "a", "b"):
        await web.parts.groups.create(name)
    with counted_queries(web.parts) as statements:
        shown = (await web("GET", "/hub/api/groups?limit=2", ada)).json
        envelope = (await web("GET", "/hub/api/groups?limit=2", ada, Accept=PAGINATED)).json
        assert statements == []
    assert [group["name"] for group in shown] == ["a", "b"]
    assert envelope["items"] == shown
    following = envelope["_pagination"]["next"]
    rest = await web("GET", following["url"].removeprefix(web.url), ada)
    assert [group["name"] for group in rest.json] == ["c"]


async def test_names_are_quoted_and_checked(web: Web, ada: str) -> None:
    assert (await web("POST", "/hub/api/groups/ML%20team", ada)).json["name"] == "ML team"
    assert (await web("POST", "/hub/api/groups/%0a", ada)).error[0] == 400
    for body in ({}, {"users": "alice"}, {"users": ["nobody"]}):
        status, message = (await web("POST", f"{ML}%20x/users", ada, json=body)).error
        assert status in {400, 404}, message
    status, message = (await web("POST", ML, ada, json={"users": ["nobody"]})).error
    assert (status, message) == (400, "users: user nobody does not exist")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/hub/api/groups"),
        ("GET", ML),
        ("POST", ML),
        ("DELETE", ML),
        ("POST", f"{ML}/users"),
        ("DELETE", f"{ML}/users"),
    ],
)
async def test_only_for_admins(web: Web, alice: str, method: str, path: str) -> None:
    assert (await web(method, path, alice, json={"users": []})).error[0] == 403
