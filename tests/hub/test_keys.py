"""Keys that the database keeps, beside those of other sources; what they made goes with them."""

import asyncio

import pytest

from kworkspace.cli.client.errors import BadRequest, Conflict, NotFound
from kworkspace.hub.keys import MOST_KEYS
from tests.hub.clock import until
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts


async def test_added_and_shown(open_hub: OpenParts, keys: dict[str, KeyFile]) -> None:
    parts = await open_hub(users={"alice": [keys["ed25519"].line], "ada": []})
    added = await parts.keys.add("alice", f"{keys['other'].line.rsplit(' ', 1)[0]} laptop\r\n")
    assert (added.comment, added.source, added.created) == ("laptop", "database", parts.clock.now)
    assert added.type == "ssh-ed25519"
    shown = parts.keys.of("alice")
    assert {(key.source, key.id is None) for key in shown} == {
        ("configuration", True),
        ("database", False),
    }
    assert added in shown
    assert parts.keys.of("ada") == []
    assert [event[0] for event in await parts.events()][-1] == "key.new"


async def test_it_opens(parts: Parts, keys: dict[str, KeyFile]) -> None:
    await parts.keys.add("alice", keys["ed25519"].line)
    assert parts.authenticator.may_offer("alice", keys["ed25519"].line, address="192.0.2.1")
    assert not parts.authenticator.may_offer("bob", keys["ed25519"].line, address="192.0.2.1")


async def test_options(parts: Parts, keys: dict[str, KeyFile]) -> None:
    options = 'from="192.0.2.0/24",expiry-time="20310101Z"'
    key = await parts.keys.add("alice", f"{options} {keys['ed25519'].line}")
    assert (key.options, key.expires and key.expires.year) == (options, 2031)
    with pytest.raises(BadRequest, match="key: its expiry-time has passed"):
        await parts.keys.add("alice", f'expiry-time="20290101Z" {keys["other"].line}')
    with pytest.raises(BadRequest, match="key: the option command has no meaning here"):
        await parts.keys.add("alice", f'command="x" {keys["other"].line}')


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "x" * 10_000, "a\nb"])
async def test_no_keys(parts: Parts, line: str) -> None:
    with pytest.raises(BadRequest, match=r"^key: "):
        await parts.keys.add("alice", line)
    assert parts.keys.of("alice") == []


async def test_there_already(open_hub: OpenParts, keys: dict[str, KeyFile]) -> None:
    parts = await open_hub(users={"alice": [keys["ed25519"].line], "bob": []})
    with pytest.raises(Conflict, match="alice has this key by the configuration"):
        await parts.keys.add("alice", keys["ed25519"].line)
    await parts.keys.add("bob", keys["ed25519"].line)
    with pytest.raises(Conflict, match="bob has this key already"):
        await parts.keys.add("bob", keys["ed25519"].line)


async def test_added_twice_at_once(parts: Parts, keys: dict[str, KeyFile]) -> None:
    results = await asyncio.gather(
        *(parts.keys.add("alice", keys["ed25519"].line) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 2
    assert len(parts.keys.of("alice")) == 1


async def test_limit(parts: Parts, many_keys: list[str]) -> None:
    for line in many_keys[:MOST_KEYS]:
        await parts.keys.add("alice", line)
    with pytest.raises(BadRequest, match=f"alice has {MOST_KEYS} keys, which is the limit"):
        await parts.keys.add("alice", many_keys[MOST_KEYS])
    await parts.keys.add("bob", many_keys[MOST_KEYS])


async def test_unknown_user_and_key(parts: Parts, keys: dict[str, KeyFile]) -> None:
    with pytest.raises(NotFound, match="User nobody does not exist"):
        parts.keys.of("nobody")
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.keys.add("nobody", keys["ed25519"].line)
    with pytest.raises(NotFound, match="has no key x in the database"):
        await parts.keys.remove("alice", "x")
    key = await parts.keys.add("alice", keys["ed25519"].line)
    assert key.id is not None
    with pytest.raises(NotFound):
        await parts.keys.remove("bob", key.id)
    await parts.keys.remove("alice", key.id)
    with pytest.raises(NotFound):
        await parts.keys.remove("alice", key.id)


async def token_of(parts: Parts, user: str, fingerprint: str) -> str:
    async with parts.store.begin() as session:
        made = await parts.tokens.issue(
            session, user, note="", expires_in=60, key_fingerprint=fingerprint
        )
    return made.token


async def test_its_tokens_end_with_it(parts: Parts, keys: dict[str, KeyFile]) -> None:
    """At once, and no other ones."""
    one = await parts.keys.add("alice", keys["ed25519"].line)
    other = await parts.keys.add("alice", keys["other"].line)
    await parts.keys.add("bob", keys["ed25519"].line)
    assert one.id is not None
    ended = await token_of(parts, "alice", one.fingerprint)
    kept = [
        await token_of(parts, "alice", other.fingerprint),
        await token_of(parts, "bob", one.fingerprint),
        await parts.token("alice"),
    ]
    await parts.keys.remove("alice", one.id)
    assert parts.tokens.find(ended) is None
    await until(lambda: not parts.consequences._at_work)
    for token in kept:
        assert parts.tokens.find(token) is not None
    assert ("key.removed", "ok", "hub", "alice") in await parts.events()


async def test_a_key_that_is_elsewhere_too(
    parts: Parts, open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """Removed from the database only: the configuration still has it, and what it made stays."""
    key = await parts.keys.add("alice", keys["ed25519"].line)
    assert key.id is not None
    after = await open_hub(users={"alice": [keys["ed25519"].line]})
    token = await token_of(after, "alice", key.fingerprint)
    await after.keys.remove("alice", key.id)
    await until(lambda: not after.consequences._at_work)
    assert after.tokens.find(token) is not None


async def test_running_workspaces_learn_of_it(parts: Parts, keys: dict[str, KeyFile]) -> None:
    await parts.ready("alice")
    parts.spawner.calls.clear()
    key = await parts.keys.add("alice", keys["ed25519"].line)
    await until(lambda: parts.spawner.calls)
    assert parts.spawner.calls == [("refresh", "alice")]
    row = parts.readmodel.server_of("alice", "")
    assert row is not None
    await parts.idle(row.id)
    assert key.id is not None
    await parts.keys.remove("alice", key.id)
    await until(lambda: len(parts.spawner.calls) == 2)
    assert parts.workspace(row).authorized_keys == ()


async def test_removed_twice_at_once(parts: Parts, keys: dict[str, KeyFile]) -> None:
    """By a person and their admin: one is told that it is gone."""
    key = await parts.keys.add("alice", keys["ed25519"].line)
    await token_of(parts, "alice", key.fingerprint)
    assert key.id is not None
    results = await asyncio.gather(
        *(parts.keys.remove("alice", key.id) for _ in range(3)), return_exceptions=True
    )
    assert sum(isinstance(result, NotFound) for result in results) == 2
    assert [event[0] for event in await parts.events()].count("token.revoked") == 1
