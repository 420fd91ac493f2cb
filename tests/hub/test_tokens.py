"""Tokens: shown once, kept as a digest, ended when they expire or are revoked."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from kworkspace.cli.client.errors import NotFound
from kworkspace.hub.db import models as db
from kworkspace.hub.tokens import PREFIX, new_secret
from tests.hub.conftest import ON_SQLITE
from tests.hub.parts import Parts


async def test_made_and_found(parts: Parts) -> None:
    made = await parts.tokens.issue_for_user("alice", note="laptop", expires_in=60)
    assert made.token.startswith(PREFIX)
    assert (made.user, made.note, made.expires_in) == ("alice", "laptop", 60)
    found = parts.tokens.find(made.token)
    assert found is not None
    assert (found.id, found.user, found.service) == (made.id, "alice", None)


@ON_SQLITE
async def test_never_in_clear(parts: Parts, tmp_path: Path) -> None:
    secrets = [await parts.token("alice"), await parts.service_token("gateway")]
    await parts.store.aclose()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("hub.sqlite*"))
    assert b"gateway" in kept
    for secret in secrets:
        assert secret.encode() not in kept


def test_secrets_are_long_and_new() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert min(len(secret) for secret in secrets) >= 43


async def test_unknown_user(parts: Parts) -> None:
    with pytest.raises(NotFound, match="User nobody does not exist"):
        await parts.tokens.issue_for_user("nobody", note="", expires_in=None)


async def test_expiry_and_purge(parts: Parts) -> None:
    short, lasting = await parts.token("alice", 60), await parts.token("alice")
    service = await parts.service_token("gateway")
    parts.clock.advance(59)
    assert parts.tokens.find(short) is not None
    parts.clock.advance(1)
    assert parts.tokens.find(short) is None
    parts.clock.advance(10**8)
    await parts.tokens.purge()
    assert parts.tokens.find(lasting) is not None
    assert parts.tokens.find(service) is not None
    async with parts.store.begin() as session:
        assert (await session.scalars(select(func.count()).select_from(db.APIToken))).one() == 2


async def test_revoke(parts: Parts) -> None:
    secret = await parts.token("alice")
    token = parts.tokens.find(secret)
    assert token is not None
    await parts.tokens.revoke(token)
    assert parts.tokens.find(secret) is None
    events = await parts.events()
    await parts.tokens.revoke(token)
    assert await parts.events() == events


async def test_a_service_token_that_an_admin_changes(parts: Parts) -> None:
    """Ends the one before it, of this service alone."""
    await parts.tokens.ensure_service("culler", "the-culler's")
    for secret in ("the-first", "the-second", "the-second"):
        await parts.tokens.ensure_service("gateway", secret, alone=True)
    assert parts.tokens.find("the-first") is None
    assert parts.tokens.find("the-second") is not None
    assert parts.tokens.find("the-culler's") is not None
    assert [event[0] for event in await parts.events()].count("token.revoked") == 1


async def test_service_token_is_made_known_once(parts: Parts) -> None:
    for _ in range(2):
        await parts.tokens.ensure_service("gateway", "the-secret")
    found = parts.tokens.find("the-secret")
    assert found is not None
    assert (found.user, found.service, found.expires) == (None, "gateway", None)
    assert [event[0] for event in await parts.events()].count("token.new") == 1
