"""Sweeping: soon, but not at once; by one hub, until that one is gone."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub import housekeeping as module
from kworkspace.hub.db import models as db
from kworkspace.hub.housekeeping import LEASE, Housekeeping
from kworkspace.hub.leases import Leases
from tests.hub.clock import until
from tests.hub.parts import Parts


def housekeeping(parts: Parts, events_days: int = 0) -> Housekeeping:
    return Housekeeping(
        store=parts.store,
        leases=parts.leases,
        sessions=parts.open_sessions,
        tokens=parts.tokens,
        audit=parts.audit,
        events_days=events_days,
    )


async def test_it_goes_on_when_it_fails(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept: list[int] = []

    async def sweep() -> None:
        swept.append(1)
        raise KworkspaceError("the disk is full")

    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(parts.open_sessions, "sweep", sweep)
    tasks = Tasks()
    tasks.spawn(housekeeping(parts).keep(), "sweep")
    await until(lambda: len(swept) > 1)
    await tasks.aclose()
    assert "Sweeping failed: the disk is full" in caplog.text


async def test_sessions_of_a_gateway_that_outlived_the_hub_are_not_swept_at_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    work = housekeeping(parts)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr("kworkspace.hub.housekeeping.asyncio.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        await work.keep()
    assert slept == [module.SWEEP_SECONDS]


async def test_another_hub_sweeps(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int] = []

    async def once() -> None:
        swept.append(1)

    other = Leases(store=parts.store, clock=parts.clock, holder="other-hub")
    assert await other.claim(LEASE)
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.01)
    work, tasks = housekeeping(parts), Tasks()
    monkeypatch.setattr(work, "once", once)
    claims: list[bool] = []
    claim = parts.leases.claim

    async def count(name: str) -> bool:
        claims.append(await claim(name))
        return claims[-1]

    monkeypatch.setattr(parts.leases, "claim", count)
    tasks.spawn(work.keep(), "sweep")
    await until(lambda: len(claims) > 1)
    assert swept == []
    await parts.pass_time(16)
    await until(lambda: swept)
    await tasks.aclose()


async def test_what_is_over_is_deleted(parts: Parts) -> None:
    await parts.token("alice", expires_in=60)
    assert await parts.leases.claim("of something that is long gone")
    await parts.pass_time(timedelta(days=3).total_seconds())
    await housekeeping(parts, events_days=2).once()
    async with parts.store.begin() as session:
        for table in (db.APIToken, db.Lease, db.Event):
            count = (await session.scalars(select(func.count()).select_from(table))).one()
            assert count == 0, table
