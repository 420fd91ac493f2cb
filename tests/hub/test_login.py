"""Challenges: a nonce costs the hub nothing, and another hub's is worth nothing."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from kworkspace.cli.client.challenge import NONCE_SECONDS, challenge_text
from kworkspace.cli.client.errors import BadRequest, Forbidden
from kworkspace.cli.client.models import TokenRequest
from kworkspace.hub.login import SignIn
from tests.hub.api.conftest import counted_queries
from tests.hub.conftest import KeyFile
from tests.hub.parts import PUBLIC_URL, OpenParts, Parts


async def test_a_challenge_is_stateless_and_new(parts: Parts) -> None:
    with counted_queries(parts) as statements:
        nonces = {parts.sign_in.challenge().nonce for _ in range(100)}
    assert (len(nonces), statements) == (100, [])


async def test_another_hub_with_the_same_name(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """Its nonces carry its own secret."""
    key = keys["ed25519"]
    parts = await open_hub(users={"alice": [key.line]})
    hubs = [
        SignIn(
            store=parts.store,
            authenticator=parts.authenticator,
            tokens=parts.tokens,
            clock=parts.clock,
            secret=secret * 64,
            public_urls=[PUBLIC_URL],
            token_seconds=60,
            welcome=parts.people.welcome,
        )
        for secret in "12"
    ]

    async def opens(hub: SignIn, nonce: str) -> bool:
        text = challenge_text(url=PUBLIC_URL, user="alice", nonce=nonce)
        request = TokenRequest(user="alice", url=PUBLIC_URL, nonce=nonce, signature=key.sign(text))
        try:
            await hub.token(request, "192.0.2.7")
        except Forbidden:
            return False
        return True

    assert await opens(hubs[0], hubs[0].challenge().nonce)
    assert not await opens(hubs[0], hubs[1].challenge().nonce)
    nonce = hubs[0].challenge().nonce
    parts.clock.advance(NONCE_SECONDS - 1)
    assert await opens(hubs[0], nonce)
    nonce = hubs[0].challenge().nonce
    parts.clock.advance(NONCE_SECONDS + 1)
    assert not await opens(hubs[0], nonce)


async def test_a_token_is_never_good_longer_than_its_key(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """The key's time is the wall clock's, which the tests' clock is ahead of."""
    key = keys["ed25519"]
    parts = await open_hub(users={"alice": []})
    soon = parts.clock.now + timedelta(seconds=90)
    await parts.keys.add("alice", f'expiry-time="{soon:%Y%m%d%H%M%S}Z" {key.line}')
    nonce = parts.sign_in.challenge().nonce
    text = challenge_text(url=PUBLIC_URL, user="alice", nonce=nonce)
    request = TokenRequest(user="alice", url=PUBLIC_URL, nonce=nonce, signature=key.sign(text))
    token = await parts.sign_in.token(request, "192.0.2.7")
    assert token.expires_in == 90
    found = parts.tokens.find(token.token)
    assert found is not None
    assert (found.expires, found.key_fingerprint) == (soon, parts.keys.of("alice")[0].fingerprint)
    child = await parts.tokens.issue_for_user("alice", note="", expires_in=None, by=found)
    made = parts.tokens.find(child.token)
    assert made is not None
    assert (made.expires, made.key_fingerprint) == (soon, found.key_fingerprint)


async def test_whom_an_authority_vouches_for(
    open_hub: OpenParts, keys: dict[str, KeyFile], tmp_path: Path
) -> None:
    """Nobody has listed them: they get their row as they come in, unless they look like another."""
    authority, key = keys["rsa"], tmp_path / "id"
    key.write_bytes(keys["ed25519"].path.read_bytes())
    key.chmod(0o600)
    key.with_suffix(".pub").write_text(keys["ed25519"].line)
    lookalike = "al\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}ce"
    parts = await open_hub(
        users={"alice": []},
        authenticator={"allow_all": True, "user_authorities": [authority.line]},
    )
    sign = ["ssh-keygen", "-q", "-s", str(authority.path), "-I", "x", "-n", f"carol,{lookalike}"]
    subprocess.run([*sign, str(key.with_suffix(".pub"))], check=True)
    certified = KeyFile(key.with_name("id-cert.pub"))

    async def sign_in(user: str) -> str:
        nonce = parts.sign_in.challenge().nonce
        text = challenge_text(url=PUBLIC_URL, user=user, nonce=nonce)
        signature = certified.sign(text)
        request = TokenRequest(user=user, url=PUBLIC_URL, nonce=nonce, signature=signature)
        return (await parts.sign_in.token(request, "192.0.2.7")).token

    assert parts.readmodel.user("carol") is None
    found = parts.tokens.find(await sign_in("carol"))
    assert found is not None
    assert (found.user, parts.domain.admission.counts(found)) == ("carol", True)
    with pytest.raises(BadRequest, match="looks like 'alice'"):
        await sign_in(lookalike)
    with pytest.raises(Forbidden):
        await sign_in("dave")
