"""Hubs on one database: those that fit are let in, and know who is left on their machine."""

from pathlib import Path

import pytest

from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.db.store import Store
from kworkspace.hub.leases import Leases, new_holder
from kworkspace.hub.presence import Misfit, Presence, SecondHub, Shared, lock_database

SAME = (Shared("one", "copy one"), Shared("two", "copy two"))


def hub(store: Store, *shared: Shared, holder: str | None = None) -> Presence:
    leases = Leases(store=store, clock=utc_now, holder=holder or new_holder())
    return Presence(store=store, leases=leases, clock=utc_now, shared=shared or SAME)


async def test_hubs_that_fit(store: Store) -> None:
    first, second, elsewhere = hub(store), hub(store), hub(store, holder="elsewhere-1")
    for each in (first, second, elsewhere):
        await each.enter()
    assert await first.leave()
    assert not await second.leave(), "the last on this machine"
    assert not await elsewhere.leave()


@pytest.mark.parametrize(
    ("shared", "told"),
    [
        ((Shared("other", "copy one"), SAME[1]), "copy one"),
        ((SAME[0], Shared("other", "copy two")), "copy two"),
    ],
)
async def test_a_hub_that_does_not_fit(store: Store, shared: tuple[Shared, ...], told: str) -> None:
    first, misfit = hub(store), hub(store, *shared)
    await first.enter()
    with pytest.raises(Misfit, match=told):
        await misfit.enter()
    await first.leave()
    await misfit.enter()


async def test_no_secret_is_in_the_database(store: Store) -> None:
    presence = hub(store, Shared("a secret", ""), *[Shared(str(n), "") for n in range(4)])
    assert "a secret" not in presence._lease
    assert len(presence._lease) < 255


def test_one_hub_on_a_file(tmp_path: Path) -> None:
    options = HubOptions(data_dir=str(tmp_path))
    lock = lock_database(options)
    assert lock is not None
    with pytest.raises(SecondHub, match=rf"Another hub runs on {tmp_path}/hub.sqlite: end it"):
        lock_database(options)
    lock.release()
    assert lock_database(HubOptions(db_url="postgresql://kw@db.example/kw")) is None
