"""What the database says of itself."""

import uuid

from sqlalchemy.ext.asyncio import AsyncSession

from kworkspace.hub.db.locks import serialize
from kworkspace.hub.db.models import Meta


async def hub_id(session: AsyncSession) -> str:
    """Return the id of the hub that this database belongs to; made at the first call."""
    await serialize(session, "meta")
    row = await session.get(Meta, "hub_id")
    if row is None:
        row = Meta(key="hub_id", value=uuid.uuid4().hex[:12])
        session.add(row)
    return row.value
