"""Groups: made at the start, changed by admins, seen by hooks and spawners."""

import asyncio

import pytest

from kworkspace.cli.client.errors import BadRequest, Conflict, InvalidName, NotFound
from kworkspace.hub.groups import parse_group_name
from tests.hub.parts import Parts


async def test_made_changed_and_deleted(parts: Parts) -> None:
    assert (await parts.groups.create("ml", ["Alice"])).users == {"alice"}
    assert (await parts.groups.add_users("ml", ["bob", "alice"])).users == {"alice", "bob"}
    assert parts.readmodel.groups_of("bob") == ["ml"]
    assert (await parts.groups.remove_users("ml", ["alice", "ada"])).users == {"bob"}
    await parts.groups.delete("ml")
    assert parts.readmodel.groups_of("bob") == []
    assert [event[0] for event in await parts.events()][-4:] == [
        "group.new",
        "group.users-added",
        "group.users-removed",
        "group.deleted",
    ]


async def test_what_cannot_be(parts: Parts) -> None:
    await parts.groups.create("ml")
    with pytest.raises(Conflict, match="Group ml exists already"):
        await parts.groups.create("ml")
    with pytest.raises(BadRequest, match="users: user nobody does not exist"):
        await parts.groups.add_users("ml", ["alice", "nobody"])
    assert parts.groups.get("ml").users == frozenset()
    for refused in (
        parts.groups.delete("no"),
        parts.groups.add_users("no", ["alice"]),
        parts.groups.remove_users("no", ["alice"]),
    ):
        with pytest.raises(NotFound, match="Group no does not exist"):
            await refused


@pytest.mark.parametrize("name", ["", "a/b", "a\n", " a", "a ", "x" * 256, "\u200b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(InvalidName, match=r"^group: a group's name "):
        parse_group_name(name)


def test_names_that_can() -> None:
    for name in ("ML team", "équipe", "日本", "a:b"):
        assert parse_group_name(name) == name


async def test_loaded_by_several_hubs_at_once(parts: Parts) -> None:
    """Whom an admin has put in stays; who is no user is left out."""
    await parts.groups.create("ml", ["ada"])
    wanted = {"ml": ["alice", "bob", "nobody"], "empty": []}
    await asyncio.gather(*(parts.groups.load(wanted) for _ in range(3)))
    assert parts.groups.get("ml").users == {"ada", "alice", "bob"}
    assert parts.groups.get("empty").users == frozenset()
    assert [event[0] for event in await parts.events()].count("group.new") == 2


async def test_a_workspace_knows_them(parts: Parts) -> None:
    for name in ("zoo", "ml"):
        await parts.groups.create(name, ["alice"])
    assert parts.workspace(await parts.ready()).groups == ("ml", "zoo")
