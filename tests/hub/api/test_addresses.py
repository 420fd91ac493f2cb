"""Where a request came from: what anybody can write in a header is worth nothing."""

import pytest
from sqlalchemy import select

from kworkspace.cli.client.proxies import client_address, is_trusted, trusted_networks
from kworkspace.hub.api.paging import PAGINATED
from kworkspace.hub.db import models as db
from tests.hub.api.conftest import OpenWeb
from tests.hub.parts import OpenParts

PROXIES = trusted_networks(["192.0.2.1", "10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.5"], "198.51.100.7"),
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.5"], "203.0.113.5"),
        ("192.0.2.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        ("192.0.2.1", ["1.1.1.1", "203.0.113.5, 10.1.2.3"], "203.0.113.5"),
        ("2001:db8::1", ["2001:470::5"], "2001:470::5"),
        ("192.0.2.1", ["10.1.2.3"], "10.1.2.3"),
        ("192.0.2.1", ["nonsense"], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.5, nonsense"], "192.0.2.1"),
        ("192.0.2.1", [""], "192.0.2.1"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_client_address(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_networks() -> None:
    assert is_trusted("10.255.0.1", PROXIES)
    assert not is_trusted("11.0.0.1", PROXIES)
    for wrong in ("proxy.example", "10.0.0.1/8", ""):
        with pytest.raises(ValueError, match=r".+"):
            trusted_networks([wrong])


async def test_it_is_what_the_hub_sees(open_hub: OpenParts, open_web: OpenWeb) -> None:
    """In the URLs that it makes, and in the audit log."""
    parts = await open_hub()
    web = open_web(parts)
    ada = await parts.token("ada")

    async def next_url() -> str:
        reply = await web(
            "GET",
            "/hub/api/users?limit=1",
            ada,
            Accept=PAGINATED,
            X_Forwarded_For="203.0.113.5",
            X_Forwarded_Proto="https",
        )
        return str(reply.json["_pagination"]["next"]["url"])

    assert (await next_url()).startswith("http://")
    parts.domain.trusted_proxies = trusted_networks(["127.0.0.1"])
    assert (await next_url()).startswith("https://")
    assert (await web("GET", "/hub/api/user", "wrong", X_Forwarded_For="203.0.113.5")).status == 401
    await parts.audit.flush()
    async with parts.store.begin() as session:
        rows = (await session.scalars(select(db.Event).where(db.Event.action == "get self"))).all()
    assert [row.address for row in rows] == ["203.0.113.5"]
