"""The edges of logins that HTTP does not show; the rest is in `api/test_gateway.py`."""

from kworkspace.cli.client.models import ServerState, SessionRequest
from tests.hub.api.conftest import signed_login
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts


async def test_start_of_what_has_become_ready(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """Between the gateway's look and its request somebody else may have started it."""
    parts = await open_hub(users={"alice": [keys["ed25519"].line]})
    id, _ = await parts.sessions.open(SessionRequest(**signed_login(keys["ed25519"], "alice")))
    await parts.ready()
    assert (await parts.sessions.start_server(id)).state is ServerState.READY


async def test_long_texts_are_cut(open_hub: OpenParts, keys: dict[str, KeyFile]) -> None:
    parts = await open_hub(users={"alice": [keys["ed25519"].line]})
    login = signed_login(keys["ed25519"], "alice")
    long = {"gateway": "g" * 1000, "address": "1" * 1000, "client_version": "v" * 1000}
    id, _ = await parts.sessions.open(SessionRequest(**login | long))
    assert (await parts.open_sessions.server_of(id)).user == "alice"
