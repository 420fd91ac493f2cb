"""Who may come in, by what the configuration and the database say together."""

import pytest

from kworkspace.cli.client.models import UserChange
from tests.hub.api.conftest import OpenWeb, open_web
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts

__all__ = ["open_web"]  # a fixture of a folder below


async def test_what_the_database_knows(parts: Parts, keys: dict[str, KeyFile]) -> None:
    records = parts.authenticator.records
    await parts.people.add(["carol"], admin=True)
    assert (records.is_enrolled("carol"), records.is_admin("carol")) == (True, True)
    for name in ("alice", "ada", "nobody"):
        assert (records.is_enrolled(name), records.is_admin(name)) == (False, False)
    await parts.keys.add("carol", f'from="192.0.2.1" {keys["ed25519"].line}')
    assert list(records.key_lines("carol")) == [f'from="192.0.2.1" {keys["ed25519"].line}']
    await parts.ready("carol")
    await parts.people.remove("carol")
    assert (records.is_enrolled("carol"), records.is_admin("carol")) == (False, False)
    assert list(records.key_lines("carol")) == []


@pytest.mark.parametrize(
    ("otherwise", "may"),
    [
        ({}, {"alice", "bob", "ada", "carol"}),
        ({"blocked_users": {"bob", "carol"}}, {"alice", "ada"}),
        ({"blocked_users": {"ada"}}, {"alice", "bob", "carol"}),
        ({"allowed_users": {"bob"}}, {"bob", "ada"}),
        ({"allow_all": True, "blocked_users": {"bob"}}, {"alice", "ada", "carol"}),
    ],
)
async def test_who_may(open_hub: OpenParts, otherwise: dict[str, object], may: set[str]) -> None:
    parts = await open_hub(authenticator=otherwise)
    await parts.people.add(["carol"])
    admission = parts.domain.admission
    names = {row.name for row in parts.readmodel.users()}
    assert {name for name in names if admission.admits(name)} == may
    assert not admission.admits("nobody")


async def test_over_rest(open_hub: OpenParts, open_web: OpenWeb) -> None:
    """A token that does not count is 401; who is made an admin is one from the next request on."""
    parts = await open_hub(authenticator={"blocked_users": {"bob"}})
    web = open_web(parts)
    alice, bob = await parts.token("alice"), await parts.token("bob")
    status, message = (await web("GET", "/hub/api/user", bob)).error
    assert (status, message) == (401, "The token no longer counts: its key or its user is gone")
    assert (await web("GET", "/hub/api/users", alice)).status == 403
    await parts.people.change("alice", UserChange(admin=True))
    assert (await web("GET", "/hub/api/users", alice)).status == 200
    assert (await web("GET", "/hub/api/user", alice)).json["roles"] == ["user", "admin"]


async def test_a_key_counts_only_while_it_is_there(parts: Parts, keys: dict[str, KeyFile]) -> None:
    key = await parts.keys.add("alice", keys["ed25519"].line)
    admission = parts.domain.admission
    assert admission.admits("alice", key.fingerprint)
    assert not admission.admits("bob", key.fingerprint)
    assert key.id is not None
    await parts.keys.remove("alice", key.id)
    assert not admission.admits("alice", key.fingerprint)
    assert admission.admits("alice")
