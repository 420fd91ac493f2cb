"""The hub's id is made once."""

from kworkspace.hub.db import meta
from kworkspace.hub.db.store import Store


async def test_hub_id(database: str) -> None:
    found = []
    for _ in range(2):
        store = await Store.open(database)
        for _ in range(2):
            async with store.begin() as session:
                found.append(await meta.hub_id(session))
        await store.aclose()
    assert len(set(found)) == 1
    assert len(found[0]) == 12
