"""What answers without a token."""

from kworkspace.hub import __version__
from tests.hub.api.conftest import Web
from tests.hub.parts import DOOR


async def test_root(web: Web) -> None:
    for path in ("/hub/api/", "/hub/api"):
        assert (await web("GET", path)).json == {"version": __version__, "ssh": None}
    web.parts.gateways.report("gw-1", DOOR)
    ssh = (await web("GET", "/hub/api/")).json["ssh"]
    [authority] = ssh.pop("host_authorities")
    assert authority.startswith("ssh-ed25519 ")
    assert ssh == {
        "host": "hub.example",
        "port": 2222,
        "host_keys": DOOR.host_keys,
    }


async def test_health(web: Web) -> None:
    for path, status in (("/health", 200), ("/health/ready", 503)):
        for prefix in ("", "/hub/api"):
            web.parts.domain.ready = True
            reply = await web("GET", prefix + path)
            assert (reply.status, reply.json) == (200, {"ready": True, "version": __version__})
            web.parts.domain.ready = False
            reply = await web("GET", prefix + path)
            assert (reply.status, reply.json["ready"]) == (status, False)


async def test_a_hub_that_sees_nothing_of_the_others(web: Web, alice: str) -> None:
    """It cannot know whether a token still holds; it lives, and is not to be asked."""
    web.parts.domain.fresh = lambda: False
    reply = await web("GET", "/hub/api/user", alice)
    assert (reply.status, reply.json["message"]) == (
        503,
        "The hub cannot read its database: try again in a moment",
    )
    assert (await web("GET", "/health")).status == 200
    assert (await web("GET", "/health/ready")).status == 503
    web.parts.domain.fresh = lambda: True
    assert (await web("GET", "/hub/api/user", alice)).status == 200
