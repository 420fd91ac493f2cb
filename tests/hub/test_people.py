"""Users that admins add, rename and remove; names that nobody could tell apart."""

import asyncio
from datetime import timedelta

import pytest

from kworkspace.cli.client.errors import BadRequest, Conflict, InvalidName, NotFound
from kworkspace.cli.client.models import UserChange
from kworkspace.hub.people import MOST_AT_ONCE
from tests.hub.clock import until
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts

LOOKS_LIKE_ALICE = "\N{CYRILLIC SMALL LETTER A}lice"


async def test_added(parts: Parts) -> None:
    [carol, dave] = await parts.people.add(["Carol", "dave", "carol"])
    assert (carol.name, carol.enrolled, carol.admin) == ("carol", True, False)
    assert parts.domain.admission.admits("dave")
    [root] = await parts.people.add(["bob", "root"], admin=True)
    assert (root.name, parts.domain.admission.is_admin("root")) == ("root", True)
    assert not parts.domain.admission.is_admin("bob"), "who is there stays as they are"
    assert dave.created == parts.clock.now


async def test_there_already(parts: Parts) -> None:
    with pytest.raises(Conflict, match="User alice exists already"):
        await parts.people.add(["ALICE"])
    with pytest.raises(Conflict, match="All 2 users exist already"):
        await parts.people.add(["alice", "bob"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (LOOKS_LIKE_ALICE, f"'{LOOKS_LIKE_ALICE}' looks like 'alice'"),
        ("b\N{GREEK SMALL LETTER OMICRON}b", "looks like 'bob'"),
        ("invite", "reserved"),
        ("a/b", "must not contain '/'"),
        ("", "must not be empty"),
    ],
)
async def test_names_that_nobody_gets(parts: Parts, name: str, said: str) -> None:
    """All or none: who is named beside it is not added either."""
    with pytest.raises(BadRequest, match=said):
        await parts.people.add(["carol", name])
    assert parts.readmodel.user("carol") is None


@pytest.mark.parametrize("name", ["иван", "αλέξανδρος", "小明", "دينا", "josé", "o'neill"])
async def test_names_of_every_script(parts: Parts, name: str) -> None:
    if "'" in name:
        with pytest.raises(InvalidName):
            await parts.people.add([name])
    else:
        assert [row.name for row in await parts.people.add([name])] == [name]


async def test_two_new_names_that_look_alike(parts: Parts) -> None:
    with pytest.raises(BadRequest, match="looks like 'cop'"):
        await parts.people.add(["cop", "\u0441\u043e\u0440"])


@pytest.mark.parametrize("number", [0, MOST_AT_ONCE + 1])
async def test_how_many_at_once(parts: Parts, number: int) -> None:
    with pytest.raises(BadRequest, match="expected 1 to 1000 names"):
        await parts.people.add([f"user-{n}" for n in range(number)])


async def test_added_twice_at_once(parts: Parts) -> None:
    results = await asyncio.gather(
        *(parts.people.add(["carol"]) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 2
    assert [row.name for row in parts.readmodel.users()].count("carol") == 1


async def test_who_was_configured_once_is_taken_in(parts: Parts, open_hub: OpenParts) -> None:
    row = await parts.ready("alice")
    after = await open_hub(users={"bob": []})
    assert not after.domain.admission.admits("alice")
    [alice] = await after.people.add(["alice"], admin=True)
    assert (alice.enrolled, after.domain.admission.admits("alice")) == (True, True)
    assert after.readmodel.server(row.id) == row


async def test_renamed(parts: Parts, keys: dict[str, KeyFile]) -> None:
    """Slug, home, tokens, keys, groups and sessions go on."""
    await parts.people.add(["carol"])
    row = await parts.ready("carol")
    await parts.keys.add("carol", keys["ed25519"].line)
    await parts.groups.create("ml", ["carol"])
    token = await parts.token("carol")
    changed = await parts.people.change("carol", UserChange(name="Caroline"))
    assert changed.name == "caroline"
    assert parts.readmodel.user("carol") is None
    server = parts.readmodel.server_of("caroline", "")
    assert server is not None
    assert (server.id, server.slug) == (row.id, row.slug)
    found = parts.tokens.find(token)
    assert found is not None
    assert (found.user, parts.domain.admission.counts(found)) == ("caroline", True)
    assert [key.source for key in parts.keys.of("caroline")] == ["database"]
    assert parts.readmodel.groups_of("caroline") == ["ml"]
    assert ("user.renamed", "ok", "hub", "carol") in await parts.events()


async def test_names_that_cannot_be_taken(parts: Parts) -> None:
    await parts.people.add(["carol"])
    for name, error in (("alice", Conflict), (LOOKS_LIKE_ALICE, BadRequest), ("a b", BadRequest)):
        with pytest.raises(error):
            await parts.people.change("carol", UserChange(name=name))
    changed = await parts.people.change("carol", UserChange(name="c\N{CYRILLIC SMALL LETTER A}rol"))
    assert changed.name != "carol", "only others' names count"


async def test_admins_come_and_go(parts: Parts) -> None:
    for admin in (True, False):
        await parts.people.change("bob", UserChange(admin=admin), by="ada")
        assert parts.domain.admission.is_admin("bob") is admin
    with pytest.raises(BadRequest, match="from yourself"):
        await parts.people.change("bob", UserChange(admin=False), by="bob")
    with pytest.raises(Conflict, match=r"take them out of c\.Authenticator\.admin_users"):
        await parts.people.change("ada", UserChange(admin=False))


async def test_whom_the_configuration_names(parts: Parts) -> None:
    with pytest.raises(Conflict, match="rename them there"):
        await parts.people.change("alice", UserChange(name="alicia"))
    with pytest.raises(Conflict, match="remove them there"):
        await parts.people.remove("alice")
    assert parts.readmodel.user("alice") is not None


async def test_unknown_user(parts: Parts) -> None:
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.people.change("nobody", UserChange(admin=True))
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.people.remove("nobody")


async def test_two_admins_at_once(parts: Parts) -> None:
    """One wins; the other is told, rather than to undo what they have not seen."""
    await parts.people.add(["carol"])
    results = await asyncio.gather(
        parts.people.change("carol", UserChange(name="caroline")),
        parts.people.change("carol", UserChange(name="carola", admin=True)),
        return_exceptions=True,
    )
    [lost] = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(lost, Conflict)
    assert "Somebody else has changed user carol just now" in lost.message
    assert [row.name for row in parts.readmodel.users() if row.name.startswith("carol")] in (
        ["caroline"],
        ["carola"],
    )


async def test_what_a_workspace_does_is_no_admin(parts: Parts) -> None:
    """A start counts as the user's activity and changes the row too: nobody is told of it."""
    await parts.people.add(["carol"])
    await asyncio.gather(
        parts.people.change("carol", UserChange(admin=True)), parts.servers.start("carol", "")
    )
    await parts.settled("carol")
    assert parts.domain.admission.is_admin("carol")


async def test_removed_without_workspaces(parts: Parts, keys: dict[str, KeyFile]) -> None:
    await parts.people.add(["carol"])
    await parts.keys.add("carol", keys["ed25519"].line)
    await parts.groups.create("ml", ["alice", "carol"])
    token = await parts.token("carol")
    assert await parts.people.remove("carol", by="ada") == []
    assert parts.readmodel.user("carol") is None
    assert parts.tokens.find(token) is None
    assert parts.groups.get("ml").users == {"alice"}
    [again] = await parts.people.add(["carol"])
    assert parts.keys.of("carol") == []
    assert again.created == parts.clock.now


async def test_removed_with_workspaces(parts: Parts) -> None:
    """Nobody comes in any more at once; the row goes with the last workspace."""
    await parts.people.add(["carol"])
    row = await parts.ready("carol")
    token = await parts.token("carol")
    servers = await parts.people.remove("carol")
    assert servers == [row.id]
    assert parts.tokens.find(token) is None
    assert not parts.domain.admission.admits("carol")
    for refused in (
        parts.people.change("carol", UserChange(admin=True)),
        parts.people.add(["carol"]),
        parts.servers.create("carol", "gpu"),
        parts.keys.add("carol", "x"),
    ):
        with pytest.raises((Conflict, BadRequest)):
            await refused
    parts.servers.see_to(servers)
    await until(lambda: parts.readmodel.user("carol") is None)
    assert parts.readmodel.server(row.id) is None
    assert parts.spawner.homes == set()
    events = [event[0] for event in await parts.events() if event[3] == "carol"]
    assert "user.remove" in events
    assert "server.delete" in events


async def test_nobody_removes_themselves(parts: Parts) -> None:
    await parts.people.add(["carol"], admin=True)
    with pytest.raises(BadRequest, match="You cannot remove yourself"):
        await parts.people.remove("carol", by="carol")


async def test_a_second_removal_changes_nothing(parts: Parts) -> None:
    await parts.people.add(["carol"])
    await parts.ready("carol")
    parts.clock.advance(timedelta(minutes=1).total_seconds())
    first = await parts.people.remove("carol")
    assert await parts.people.remove("carol") == first
    assert [event[0] for event in await parts.events()].count("user.remove") == 1
