"""The admin's commands find their way: the hub if it runs on an SQLite file, else the database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from traitlets.config import Config

from kworkspace.cli.client.errors import BadRequest, Conflict, HubUnreachable, NotFound
from kworkspace.cli.client.models import NewUsers, UserChange
from kworkspace.hub.administration import Administration, administration
from kworkspace.hub.config import HubOptions
from kworkspace.hub.db.store import Store
from kworkspace.hub.presence import SecondHub, lock_database
from kworkspace.hub.readmodel import ReadModel, TokenRow
from tests.hub.api.conftest import OpenWeb, open_web
from tests.hub.clock import Clock
from tests.hub.conftest import ON_SQLITE, KeyFile
from tests.hub.parts import OpenParts

__all__ = ["open_web"]  # a fixture of a folder below


@pytest.fixture
def options(tmp_path: Path, database: str) -> HubOptions:
    users: dict[str, list[str]] = {"alice": [], "bob": []}
    return HubOptions(
        data_dir=str(tmp_path),
        db_url=database,
        config=Config(SSHKeyAuthenticator={"users": users, "admin_users": {"ada"}}),
    )


@pytest.fixture(params=["no hub runs", "a hub runs"])
async def admin(
    request: pytest.FixtureRequest,
    options: HubOptions,
    tmp_path: Path,
    open_hub: OpenParts,
    open_web: OpenWeb,
) -> AsyncIterator[Administration]:
    lock = None
    if request.param == "a hub runs":
        parts = await open_hub()
        options.bind_url = open_web(parts).url
        (tmp_path / "admin_token").write_text(await parts.service_token("culler"))
        lock = lock_database(options)
    async with administration(options) as way:
        yield way
    if lock is not None:
        lock.release()


async def find(options: HubOptions, secret: str) -> TokenRow | None:
    store = await Store.open(options.db_url)
    readmodel = ReadModel()
    await readmodel.load(store)
    await store.aclose()
    return readmodel.token(secret, Clock().now)


async def test_users(admin: Administration) -> None:
    assert [user.name for user in await admin.users()] == ["ada", "alice", "bob"]
    [carol] = await admin.add_users(NewUsers(usernames=["Carol", "alice"], admin=True))
    assert (carol.name, carol.admin) == ("carol", True)
    assert {user.name: user.admin for user in await admin.users()} == {
        "ada": True,
        "alice": False,
        "bob": False,
        "carol": True,
    }
    assert (await admin.change_user("carol", UserChange(name="caroline"))).name == "caroline"
    assert await admin.remove_user("caroline")
    assert len(await admin.users()) == 3


async def test_mistakes(admin: Administration) -> None:
    """The same errors with the same words, whichever way it is."""
    with pytest.raises(Conflict, match="User alice exists already"):
        await admin.add_users(NewUsers(usernames=["alice"]))
    with pytest.raises(BadRequest, match="looks like 'bob'"):
        await admin.add_users(NewUsers(usernames=["b\N{CYRILLIC SMALL LETTER O}b"]))
    with pytest.raises(Conflict, match="remove them there"):
        await admin.remove_user("alice")
    for refused in (
        admin.remove_user("nobody"),
        admin.new_token("nobody", "x"),
        admin.keys("nobody"),
        admin.change_user("nobody", UserChange(admin=True)),
    ):
        with pytest.raises(NotFound, match="User nobody does not exist"):
            await refused


async def test_keys(admin: Administration, keys: dict[str, KeyFile]) -> None:
    added = await admin.add_key("alice", keys["ed25519"].line)
    assert await admin.keys("alice") == [added]
    assert added.id is not None
    await admin.remove_key("alice", added.id)
    assert await admin.keys("alice") == []
    with pytest.raises(BadRequest, match="key: "):
        await admin.add_key("alice", "nonsense")


async def test_tokens(admin: Administration, options: HubOptions) -> None:
    """Of whom the configuration names, and of whom an admin has added."""
    await admin.add_users(NewUsers(usernames=["carol"]))
    for name in ("alice", "carol"):
        found = await find(options, await admin.new_token(name, "by hand"))
        assert found is not None
        assert (found.user, found.expires, found.note) == (name, None, "by hand")


async def test_who_is_removed_with_workspaces_waits_for_a_hub(
    options: HubOptions, open_hub: OpenParts
) -> None:
    parts = await open_hub()
    await parts.people.add(["carol"])
    await parts.ready("carol")
    async with administration(options) as admin:
        assert not await admin.remove_user("carol")
        [carol] = [user for user in await admin.users() if user.name == "carol"]
        assert not carol.admin


async def test_nothing_is_enforced_by_a_command(options: HubOptions, open_hub: OpenParts) -> None:
    """It may have been given another configuration than the hub, or none at all."""
    token = await (await open_hub()).token("alice")
    options.config.SSHKeyAuthenticator.users = {}
    async with administration(options) as admin:
        await admin.add_users(NewUsers(usernames=["carol"]))
    assert await find(options, token) is not None


@ON_SQLITE
async def test_a_hub_that_does_not_answer(options: HubOptions, tmp_path: Path) -> None:
    """One that is only just starting, or hangs."""
    options.bind_url = "http://127.0.0.1:1"
    (tmp_path / "admin_token").write_text("kws_x")
    lock = lock_database(options)
    assert lock is not None
    with pytest.raises(HubUnreachable):
        async with administration(options) as admin:
            await admin.users()
    with pytest.raises(SecondHub, match=r"Another hub runs on .*: end it first"):
        lock_database(options)
    lock.release()
    async with administration(options) as admin:
        assert len(await admin.users()) == 3
    again = lock_database(options)
    assert again is not None
    again.release()


async def test_more_users_than_a_page(admin: Administration) -> None:
    names = [f"user-{number:03}" for number in range(250)]
    await admin.add_users(NewUsers(usernames=names))
    assert [user.name for user in await admin.users()] == sorted([*names, "ada", "alice", "bob"])


async def test_invitations(admin: Administration) -> None:
    made = await admin.invite("alice", 3600)
    [shown] = await admin.invites("alice")
    assert (shown.id, shown.expires) == (made.id, made.expires)
    await admin.revoke_invite("alice", made.id)
    assert await admin.invites("alice") == []
    with pytest.raises(NotFound):
        await admin.revoke_invite("alice", made.id)
