"""The database has whom the configuration names, and nobody else comes in."""

import asyncio

from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from kworkspace.hub.users import is_named, named, take_over
from tests.hub.parts import OpenParts, Parts


async def test_users(parts: Parts) -> None:
    """Who is an admin by the configuration is not written down."""
    assert {row.name: (row.admin, row.enrolled) for row in parts.readmodel.users()} == {
        "ada": (False, False),
        "alice": (False, False),
        "bob": (False, False),
    }


async def test_nothing_changes_when_nothing_has(parts: Parts, open_hub: OpenParts) -> None:
    before = await parts.events()
    assert await (await open_hub()).events() == before


async def test_who_is_no_longer_named(parts: Parts, open_hub: OpenParts) -> None:
    """They keep their workspace, and none of their tokens; others and services keep theirs."""
    row = await parts.ready("alice")
    alices, bobs = await parts.token("alice"), await parts.token("bob")
    service = await parts.service_token("gateway")
    after = await open_hub(users={"bob": []})
    assert after.readmodel.user("alice") is not None
    assert after.readmodel.server(row.id) == row
    assert after.tokens.find(alices) is None
    assert after.tokens.find(bobs) is not None
    assert after.tokens.find(service) is not None
    assert (await after.events())[-1] == ("token.revoked", "ok", "hub", "alice")
    again = await open_hub()
    assert again.tokens.find(alices) is None


async def test_who_is_blocked_keeps_no_token(parts: Parts, open_hub: OpenParts) -> None:
    token = await parts.token("alice")
    after = await open_hub(authenticator={"blocked_users": {"alice"}})
    assert after.tokens.find(token) is None
    assert not after.domain.admission.admits("alice")
    assert after.domain.admission.admits("bob")


def test_whom_the_configuration_names() -> None:
    authenticator = SSHKeyAuthenticator(
        users={"alice": []}, admin_users={"ada"}, allowed_users={"bob"}, blocked_users={"eve"}
    )
    assert set(named(authenticator)) == {"alice", "ada", "bob"}
    for name in ("alice", "ada", "bob"):
        assert is_named(authenticator, name)
    assert not is_named(authenticator, "eve")


async def test_several_hubs_begin_at_once(parts: Parts) -> None:
    names = [f"user-{number}" for number in range(20)]
    await asyncio.gather(
        *(
            take_over(store=parts.store, audit=parts.audit, clock=parts.clock, names=names)
            for _ in range(4)
        )
    )
    assert [event[3] for event in await parts.events() if event[0] == "user.new"][-20:] == sorted(
        names
    )
