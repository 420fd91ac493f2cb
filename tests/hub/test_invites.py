"""Codes: made once, kept as a digest, used up with the key that they add and by nothing else."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from kworkspace.cli.client.errors import BadRequest, Conflict, Forbidden, NotFound, TooMany
from kworkspace.cli.client.models import InviteClaim
from kworkspace.hub import invites as module
from kworkspace.hub.db import models as db
from kworkspace.hub.guesses import FREE
from kworkspace.hub.invites import ALPHABET, COMMENT, new_code, normal_code
from kworkspace.hub.keys import MOST_KEYS
from kworkspace.hub.readmodel import digest
from tests.hub.api.conftest import signed_login
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts

Claim = Callable[..., InviteClaim]


@pytest.fixture
def claim(keys: dict[str, KeyFile]) -> Claim:
    """Return a function that makes what a gateway sends."""

    def make(code: str, key: str = "ed25519", *, confirm: bool = True, **other: Any) -> InviteClaim:
        login = signed_login(keys[key], other.pop("login", "invite"))
        for field in ("gateway", "login", "client_version"):
            del login[field]
        return InviteClaim(code=code, confirm=confirm, **(login | other))

    return make


@given(st.text())
def test_whatever_is_typed_is_a_code_or_none(text: str) -> None:
    code = normal_code(text)
    assert code == "" or (len(code) == 16 and set(code) <= set(ALPHABET))


def test_a_code_may_be_typed_as_it_was_heard() -> None:
    code = new_code()
    assert len(code) == 19
    assert new_code() != code
    same = {code, code.upper(), code.replace("-", ""), f"  {code.replace('-', ' ')} "}
    same.add(code.replace("0", "O").replace("1", "l"))
    assert {normal_code(one) for one in same} == {code.replace("-", "")}


async def test_a_code_adds_the_key_that_signed_once(parts: Parts, claim: Claim) -> None:
    made = await parts.domain.invites.new("alice", 3600, "ada")
    for _ in range(3):  # a look uses up nothing
        offer = await parts.domain.invites.claim(claim(made.code, confirm=False))
        assert offer.user == "alice"
    assert parts.keys.of("alice") == []
    assert await parts.domain.invites.claim(claim(made.code)) == offer
    [key] = parts.keys.of("alice")
    assert (key.fingerprint, key.comment, key.source) == (offer.fingerprint, COMMENT, "database")
    with pytest.raises(Forbidden):
        await parts.domain.invites.claim(claim(made.code, "other"))
    assert await parts.domain.invites.of("alice") == []
    events = [(action, actor, user) for action, _, actor, user in await parts.events()]
    for action in ("key.new", "invite.used"):
        assert (action, "alice", "alice") in events
    assert "invite.new" in {action for action, _, _ in events}


async def test_only_the_digest_is_kept(parts: Parts) -> None:
    code = (await parts.domain.invites.new("alice", 3600, "ada")).code
    async with parts.store.begin() as session:
        [row] = (await session.scalars(select(db.Invite))).all()
        messages = (await session.scalars(select(db.Event.message))).all()
    assert row.digest == digest(normal_code(code))
    assert not any(code in message for message in messages)
    [shown] = await parts.domain.invites.of("alice")
    assert (shown.id, shown.by) == (row.id, "ada")
    assert code not in msgspec.json.encode(shown).decode()


async def test_of_two_at_once_one_wins(parts: Parts, claim: Claim) -> None:
    code = (await parts.domain.invites.new("alice", 3600, "ada")).code
    claims = [parts.domain.invites.claim(claim(code, key)) for key in ("ed25519", "other", "rsa")]
    ended = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(one, Forbidden) for one in ended) == 2
    assert len(parts.keys.of("alice")) == 1


async def test_what_fails_uses_up_nothing(
    parts: Parts, claim: Claim, keys: dict[str, KeyFile], many_keys: list[str]
) -> None:
    code = (await parts.domain.invites.new("alice", 3600, "ada")).code
    key = await parts.keys.add("alice", keys["ed25519"].line)
    for confirm in (True, False):
        with pytest.raises(Conflict, match="alice has this key already"):
            await parts.domain.invites.claim(claim(code, confirm=confirm))
    for line in many_keys[: MOST_KEYS - 1]:
        await parts.keys.add("alice", line)
    with pytest.raises(BadRequest, match="which is the limit"):
        await parts.domain.invites.claim(claim(code, "other"))
    assert key.id is not None
    await parts.keys.remove("alice", key.id)
    assert (await parts.domain.invites.claim(claim(code, "other"))).user == "alice"


async def test_proofs_that_prove_nothing(parts: Parts, claim: Claim) -> None:
    """Without the user's key and the gateway's own, the code alone adds nothing; nor is it used."""
    code = (await parts.domain.invites.new("alice", 3600, "ada")).code
    good, other = claim(code), claim(code, "other")
    false = base64.b64encode(b"false").decode()
    wrong = [
        claim(code, login="alice"),
        msgspec.structs.replace(good, public_key=other.public_key),
        msgspec.structs.replace(good, signature=other.signature),
        msgspec.structs.replace(good, signature=false),
        msgspec.structs.replace(good, door_signature=other.door_signature),
        msgspec.structs.replace(good, signed=false),
    ]
    for one in wrong:
        with pytest.raises(Forbidden, match="what this key signed"):
            await parts.domain.invites.claim(one)
    with pytest.raises(BadRequest, match="signed: not base64"):
        await parts.domain.invites.claim(msgspec.structs.replace(good, signed="!"))
    assert (await parts.domain.invites.claim(good)).user == "alice"


async def test_guesses_are_counted_and_right_codes_are_none(parts: Parts, claim: Claim) -> None:
    code = (await parts.domain.invites.new("alice", 3600, "ada")).code
    for number in range(FREE):
        await parts.domain.invites.claim(claim(code, confirm=False))
        with pytest.raises(Forbidden):
            await parts.domain.invites.claim(claim(("", "x" * 1000, new_code())[number % 3]))
    for text in (code, "x"):
        with pytest.raises(TooMany):
            await parts.domain.invites.claim(claim(text))
    await parts.domain.invites.claim(claim(code, address="198.51.100.1"))


async def test_codes_of_who_may_not_come_in_are_void(open_hub: OpenParts, claim: Claim) -> None:
    parts = await open_hub()
    await parts.people.add(["carol", "dave"])
    codes = {
        name: (await parts.domain.invites.new(name, 3600, "ada")).code
        for name in ("alice", "carol", "dave", "bob")
    }
    parts.authenticator.blocked_users = {"alice"}
    await parts.people.remove("carol")
    with pytest.raises(Conflict, match="alice may not log in"):
        await parts.domain.invites.new("alice", 3600, "ada")
    with pytest.raises(NotFound):
        await parts.domain.invites.new("nobody", 3600, "ada")
    for name in ("alice", "carol"):
        with pytest.raises(Forbidden):
            await parts.domain.invites.claim(claim(codes[name]))
    assert (await parts.domain.invites.claim(claim(codes["dave"]))).user == "dave"
    parts.clock.advance(3600)
    with pytest.raises(Forbidden):
        await parts.domain.invites.claim(claim(codes["bob"], "other"))


async def test_withdrawn_expired_and_too_many(
    parts: Parts, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    invites = parts.domain.invites
    first = await invites.new("alice", 3600, "ada")
    await invites.revoke("alice", first.id)
    with pytest.raises(NotFound):
        await invites.revoke("alice", first.id)
    with pytest.raises(Forbidden):
        await invites.claim(claim(first.code))
    monkeypatch.setattr(module, "MOST_OPEN", 1)
    await invites.new("alice", 60, "ada")
    with pytest.raises(Conflict, match="enough"):
        await invites.new("alice", 60, "ada")
    for seconds in (0, -1, 59, 10**8):
        with pytest.raises(BadRequest, match="expires_in"):
            await invites.new("bob", seconds, "ada")
    parts.clock.advance(61)
    assert await invites.of("alice") == []
    await invites.new("alice", 60, "ada")
    await parts.tokens.purge()
    async with parts.store.begin() as session:
        assert len((await session.scalars(select(db.Invite))).all()) == 1
