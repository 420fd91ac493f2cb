"""A row for every change and refusal; no secrets; a flood costs little."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.cli.client.errors import BadRequest, Forbidden, Unauthorized, Unavailable
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.audit import BURST, REFUSALS_PER_SECOND, Origin, origin
from kworkspace.hub.db import models as db
from tests.hub.clock import until
from tests.hub.parts import Parts


async def test_a_change_is_told_by_who_made_it(parts: Parts) -> None:
    origin.set(Origin(actor="ada", request_id="r1", address="192.0.2.1"))
    async with parts.store.begin() as session:
        parts.audit.record(session, "server.start", user="alice", server="gpu", message="why")
    async with parts.store.begin() as session:
        row = (await session.scalars(select(db.Event).order_by(db.Event.id.desc()))).first()
    assert row is not None
    assert (row.action, row.outcome, row.message) == ("server.start", "ok", "why")
    assert (row.actor, row.request_id, row.address) == ("ada", "r1", "192.0.2.1")
    assert (row.user, row.server, row.at) == ("alice", "gpu", parts.clock.now)


async def test_a_change_that_fails_is_not_told(parts: Parts) -> None:
    before = await parts.events()

    async def fail() -> None:
        async with parts.store.begin() as session:
            parts.audit.record(session, "server.start", user="alice")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await parts.events() == before


async def test_refusals_are_written_together(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kworkspace.hub.audit.FLUSH_SECONDS", 0.001)
    begin, commits = parts.store.begin, 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncSession]:
        nonlocal commits
        async with begin() as session:
            yield session
        commits += 1

    monkeypatch.setattr(parts.store, "begin", counted)
    tasks = Tasks()
    tasks.spawn(parts.audit.keep_writing(), "write")
    for _ in range(50):
        parts.audit.refuse("get user", Unauthorized("no"), "alice")
    await until(lambda: commits == 1)
    parts.audit.refuse("get user", Forbidden("no"), "alice" * 100)
    await until(lambda: commits == 2)
    await tasks.aclose()
    monkeypatch.undo()
    events = [event for event in await parts.events() if event[0] == "get user"]
    assert events[:50] == [("get user", "unauthorized", "hub", "alice")] * 50
    assert events[50:] == [("get user", "forbidden", "hub", ("alice" * 100)[:255])]
    assert commits == 2


@pytest.mark.parametrize("char", ["\0", "\x1b", "\ud800"])
async def test_what_a_caller_wrote_takes_no_other_refusal_with_it(parts: Parts, char: str) -> None:
    parts.audit.refuse("post server", Forbidden("no"), "bob")
    parts.audit.refuse("post server", BadRequest(f"there is no '{char}'"), f"alice{char}")
    await parts.audit.flush()
    async with parts.store.begin() as session:
        rows = (await session.scalars(select(db.Event).order_by(db.Event.id.desc()))).all()
    assert [(row.user, row.message) for row in rows[1::-1]] == [
        ("bob", "no"),
        ("alice?", "there is no '?'"),
    ]


async def test_a_flood_is_bounded_and_counted(parts: Parts) -> None:
    before = len(await parts.events())
    for _ in range(BURST + 234):
        parts.audit.refuse("get user", Unauthorized("no"))
    await parts.audit.flush()
    async with parts.store.begin() as session:
        messages = (await session.scalars(select(db.Event.message).order_by(db.Event.id))).all()
    assert len(messages) == before + BURST + 1
    assert messages[-1] == "234 refusals more than could be written"
    await parts.audit.flush()
    assert len(await parts.events()) == len(messages)
    parts.clock.advance(1)
    for _ in range(20):
        parts.audit.refuse("get user", Unauthorized("no"))
    await parts.audit.flush()
    assert len(await parts.events()) == len(messages) + REFUSALS_PER_SECOND + 1


async def test_old_rows_are_deleted(parts: Parts) -> None:
    assert await parts.events()
    await parts.audit.purge(timedelta(days=1))
    assert await parts.events()
    parts.clock.advance(2 * 86400)
    await parts.audit.purge(timedelta(days=1))
    assert not await parts.events()


async def test_refusals_that_cannot_be_written_stop_nothing(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "begin", fail)
        parts.audit.refuse("get user", Unauthorized("no"))
        await parts.audit.flush()
    assert "1 refusals could not be written to the audit log: the disk is full" in caplog.text
    parts.audit.refuse("get users", Unauthorized("no"))
    assert ("get users", "unauthorized", "hub", None) in await parts.events()


async def test_a_story_leaves_its_events_and_no_secret(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [await parts.token("alice"), await parts.service_token("gateway")]
    await parts.ready()
    token = parts.tokens.find(secrets[0])
    assert token is not None
    await parts.tokens.revoke(token)
    await parts.servers.stop("alice", "")
    await parts.settled()
    assert [(action, outcome, user) for action, outcome, _, user in await parts.events()] == [
        ("user.new", "ok", "ada"),
        ("user.new", "ok", "alice"),
        ("user.new", "ok", "bob"),
        ("token.new", "ok", "alice"),
        ("token.new", "ok", None),
        ("server.start", "ok", "alice"),
        ("server.ready", "ok", "alice"),
        ("token.revoked", "ok", "alice"),
        ("server.stop", "ok", "alice"),
        ("server.stopped", "ok", "alice"),
    ]
    async with parts.store.begin() as session:
        rows = [vars(row) for row in (await session.scalars(select(db.Event))).all()]
    for secret in secrets:
        assert secret not in str(rows)
        assert secret not in caplog.text
