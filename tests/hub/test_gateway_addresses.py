"""From where a workspace sees a gateway, on one machine and elsewhere."""

import socket

import pytest

from kworkspace.hub.gateway_addresses import seen_addresses


async def test_a_gateway_elsewhere() -> None:
    assert await seen_addresses("192.0.2.7", "192.0.2.9", 2222) == ["192.0.2.7"]
    assert await seen_addresses("2001:db8::7", "192.0.2.9", 2222) == ["2001:db8::7"]


async def test_all_on_one_machine() -> None:
    assert await seen_addresses("127.0.0.1", "127.0.0.1", 2222) == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_workspace_elsewhere(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """It sees the address that the way to it begins at."""
    seen: list[object] = []

    class Way(socket.socket):
        def connect(self, place: object) -> None:
            seen.append(place)

        def getsockname(self) -> tuple[str, int]:
            return "10.88.0.1", 40000

    monkeypatch.setattr("kworkspace.hub.gateway_addresses.socket.socket", Way)
    found = await seen_addresses(address, "10.88.0.17", 2222)
    assert found == ["10.88.0.1", "127.0.0.1", "::1"]
    assert seen == [("10.88.0.17", 2222)]


async def test_a_name_that_is_nowhere() -> None:
    assert await seen_addresses("127.0.0.1", "no.such.invalid", 22) == ["127.0.0.1", "::1"]


async def test_behind_nat() -> None:
    found = await seen_addresses("127.0.0.1", "10.0.0.9", 22, configured=["192.0.2.0/28", "::7"])
    assert found == ["192.0.2.0/28", "::7/128"]
