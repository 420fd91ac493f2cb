"""Where a workspace is reached, while it runs."""

from dataclasses import replace

import pytest

from kworkspace.cli.client.errors import Conflict
from kworkspace.cli.client.models import ServerState
from kworkspace.hub.reach import Reach, reach
from tests.hub.parts import Parts


async def test_reach(parts: Parts) -> None:
    server = await parts.ready()
    assert server.host is not None
    assert server.port is not None
    assert server.host_key is not None
    assert server.account is not None
    expected = Reach(server.host, server.port, server.host_key, server.account)
    assert reach(server) == expected
    for state in set(ServerState) - {ServerState.READY}:
        with pytest.raises(Conflict, match="not running"):
            reach(replace(server, state=state))
