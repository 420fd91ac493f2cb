"""What follows from a change, wherever it was made, and that doing it twice is nothing."""

from pathlib import Path

import pytest
from sqlalchemy import select

from kworkspace.cli.client.errors import Unavailable
from kworkspace.cli.client.models import SessionRequest, UserChange
from kworkspace.hub import consequences
from kworkspace.hub.db import models as db
from kworkspace.hub.db.changes import Changes
from tests.hub.api.conftest import signed_login
from tests.hub.clock import until
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts


async def settled(parts: Parts) -> None:
    await until(lambda: not parts.consequences._at_work)


async def end_messages(parts: Parts) -> dict[str, str | None]:
    async with parts.store.begin() as session:
        rows = (await session.scalars(select(db.Session))).all()
    return {row.actor: row.end_message for row in rows}


async def opened(parts: Parts, user: str, key: KeyFile) -> None:
    await parts.sessions.open(SessionRequest(**signed_login(key, user)))


async def test_sessions_of_a_key_that_goes(parts: Parts, keys: dict[str, KeyFile]) -> None:
    """Those that it opened, and no others."""
    for user, key in (("alice", keys["ed25519"]), ("bob", keys["other"])):
        await parts.keys.add(user, key.line)
        await opened(parts, user, key)
    [added] = parts.keys.of("alice")
    assert added.id is not None
    await parts.keys.remove("alice", added.id)
    await settled(parts)
    messages = await end_messages(parts)
    assert messages["alice"]
    assert messages["bob"] is None


async def test_sessions_of_a_user_who_goes(parts: Parts, keys: dict[str, KeyFile]) -> None:
    await parts.people.add(["carol"])
    await parts.keys.add("carol", keys["ed25519"].line)
    await opened(parts, "carol", keys["ed25519"])
    await parts.people.remove("carol")
    await settled(parts)
    assert (await end_messages(parts))["carol"]


async def test_what_another_process_changed(parts: Parts, keys: dict[str, KeyFile]) -> None:
    """A hub that only hears of it draws the same: here of rows that are gone."""
    await parts.keys.add("alice", keys["ed25519"].line)
    await opened(parts, "alice", keys["ed25519"])
    [row] = parts.readmodel.keys_of("alice")
    async with parts.store.begin() as session:
        parts.store.on_commit = lambda _changes: None  # as if it were another one's
        await session.delete(await session.get_one(db.SSHKey, row.id))
    parts.readmodel.apply(Changes(gone=[("ssh_keys", row.id)]))
    await settled(parts)
    assert (await end_messages(parts))["alice"]


async def test_a_hub_that_begins_sees_to_everybody(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """The configuration changed while no hub ran."""
    before = await open_hub(users={"alice": [keys["ed25519"].line]})
    await opened(before, "alice", keys["ed25519"])
    async with before.store.begin() as session:
        made = await before.tokens.issue(
            session,
            "alice",
            note="",
            expires_in=60,
            key_fingerprint=before.keys.of("alice")[0].fingerprint,
        )
    lasting = await before.token("alice")
    after = await open_hub(users={"alice": [keys["other"].line]})
    assert after.tokens.find(made.token) is None
    assert after.tokens.find(lasting) is not None
    assert (await end_messages(after))["alice"]


async def test_a_directory_names_somebody_new(
    open_hub: OpenParts, keys: dict[str, KeyFile], tmp_path: Path
) -> None:
    """They get their row at once; and when their file goes, what they opened ends."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    parts = await open_hub(authenticator={"authorized_keys_dir": str(folder)})
    await parts.authenticator.open(parts.consequences.changed)
    try:
        (folder / "carol").write_text(keys["ed25519"].line + "\n")
        await until(lambda: parts.readmodel.user("carol") is not None)
        assert parts.domain.admission.admits("carol")
        await opened(parts, "carol", keys["ed25519"])
        (folder / "carol").unlink()
        await until(lambda: not parts.domain.admission.admits("carol"))
        await settled(parts)
        assert (await end_messages(parts))["carol"]
        assert parts.readmodel.user("carol") is not None
    finally:
        await parts.authenticator.aclose()


async def test_a_database_that_is_away(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and done again until it is done."""
    calls: list[object] = []

    async def end_sessions(users: object) -> None:
        calls.append(users)
        if len(calls) < 3:
            raise Unavailable("away")

    monkeypatch.setattr(consequences, "RETRY_SECONDS", 0)
    monkeypatch.setattr(parts.consequences, "_end_sessions", end_sessions)
    parts.consequences.changed({"alice"})
    parts.consequences.changed({"bob"})
    await settled(parts)
    assert calls == [{"alice", "bob"}] * 3
    assert "away; again soon" in caplog.text


async def test_who_is_no_admin_any_more_leaves_others_workspaces(
    parts: Parts, keys: dict[str, KeyFile]
) -> None:
    """And keeps the session in their own."""
    await parts.people.change("bob", UserChange(admin=True))
    await parts.keys.add("bob", keys["ed25519"].line)
    for login in ("bob=alice", "bob"):
        await opened(parts, login, keys["ed25519"])
    await parts.people.change("bob", UserChange(admin=False))
    await settled(parts)
    async with parts.store.begin() as session:
        rows = (await session.scalars(select(db.Session))).all()
    ended = {row.server.user.name: row.end_message is not None for row in rows if row.server}
    assert ended == {"alice": True, "bob": False}
