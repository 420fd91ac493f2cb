"""Servers over REST: JupyterHub's statuses, and progress for who comes early, late or leaves."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.cli.client.sse import EventDecoder
from kworkspace.hub.starts import Limits
from kworkspace.spawners.base import Profile, ProfileOption
from tests.hub.api.conftest import OpenWeb, Web
from tests.hub.clock import until
from tests.hub.fake_spawner import held_by
from tests.hub.parts import OpenParts

SERVER = "/hub/api/users/alice/server"


async def read(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """Read a stream to its end."""
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    decoder, events = EventDecoder(), []
    async for chunk in response.content.iter_any():
        events += [msgspec.json.decode(event) for event in decoder.feed(chunk)]
    return events


async def test_start_and_stop(web: Web, alice: str) -> None:
    assert (await web("GET", SERVER, alice)).error == (404, "User alice has no workspace yet")
    reply = await web("POST", SERVER, alice, json={"gpu": 1})
    assert (reply.status, reply.body) == (201, b"")
    shown = (await web("GET", SERVER, alice)).json
    assert (shown["ready"], shown["stopped"], shown["pending"]) == (True, False, None)
    assert (shown["user_options"], shown["progress_url"]) == ({"gpu": 1}, f"{SERVER}/progress")
    assert (await web("POST", SERVER, alice)).error == (400, "alice's workspace is already running")
    reply = await web("DELETE", SERVER, alice)
    assert (reply.status, reply.body) == (204, b"")
    assert (await web("GET", SERVER, alice)).json["status"] == "stopped"
    assert (await web("DELETE", SERVER, alice)).status == 204
    assert (await web("DELETE", "/hub/api/users/bob/server", alice)).error[0] == 404


async def test_profiles(web: Web, alice: str) -> None:
    refused = await web("POST", SERVER, alice, json={"profile": "gpu"})
    assert refused.error == (400, "profile: there is no 'gpu': this hub has no profiles")
    assert (await web("GET", "/hub/api/profiles", alice)).json == []
    web.parts.spawner.offered = [
        Profile("cpu", "Small", default=True),
        Profile(
            "gpu", "One GPU", "For training", False, (ProfileOption("image", ("a", "b"), "a"),)
        ),
    ]
    refused = await web("POST", SERVER, alice, json={"profile": "gpus"})
    assert refused.error == (400, "profile: there is no 'gpus'; there is cpu, gpu")
    assert (await web("GET", SERVER, alice)).status == 404, "nothing was made of it"
    assert (await web("GET", "/hub/api/profiles", alice)).json == [
        {
            "slug": "cpu",
            "display_name": "Small",
            "description": "",
            "default": True,
            "options": [],
        },
        {
            "slug": "gpu",
            "display_name": "One GPU",
            "description": "For training",
            "default": False,
            "options": [{"name": "image", "choices": ["a", "b"], "default": "a", "unlisted": ""}],
        },
    ]
    assert (await web("POST", SERVER, alice, json={"profile": "gpu"})).status == 201
    assert (await web("GET", SERVER, alice)).json["user_options"] == {"profile": "gpu"}


async def test_slow_start_and_stop(web: Web, alice: str) -> None:
    web.parts.domain.slow_spawn_seconds = 0.01
    go_on = asyncio.Event()
    web.parts.spawner.behaviour = web.parts.spawner.stop_behaviour = held_by(go_on)
    assert (await web("POST", SERVER, alice)).status == 202
    assert (await web("POST", SERVER, alice)).status == 202
    shown = (await web("GET", SERVER, alice)).json
    assert (shown["pending"], shown["ready"], shown["status"]) == ("spawn", False, "starting")
    assert (await web("GET", "/hub/api/user", alice)).json["pending"] == "spawn"
    go_on.set()
    await web.parts.settled()
    go_on.clear()
    assert (await web("DELETE", SERVER, alice)).status == 202
    assert (await web("GET", SERVER, alice)).json["pending"] == "stop"
    go_on.set()
    await web.parts.settled()


async def test_who_prefers_not_to_wait(web: Web, alice: str) -> None:
    """RFC 7240: answered at once, to follow the progress."""
    web.parts.spawner.behaviour = held_by(asyncio.Event())
    assert (await web("POST", SERVER, alice, Prefer="respond-async")).status == 202


async def test_failed_start(web: Web, alice: str) -> None:
    async def fail(_: object) -> None:
        raise StartFailed("no node has a GPU left")

    web.parts.spawner.behaviour = fail
    reply = await web("POST", SERVER, alice)
    assert reply.error == (500, "The workspace did not start: no node has a GPU left")
    assert (await web("GET", SERVER, alice)).json["error"] == "no node has a GPU left"
    async with web.stream(f"{SERVER}/progress", alice) as response:
        events = await read(response)
    assert events == [{"progress": 100, "failed": True, "message": "no node has a GPU left"}]


async def test_stop_answers_who_waits_for_the_start(web: Web, alice: str) -> None:
    web.parts.spawner.behaviour = held_by(asyncio.Event())
    start = web.parts.driver._tasks.spawn(web("POST", SERVER, alice), "start")
    await web.parts.spawner.starting.wait()
    assert (await web("DELETE", SERVER, alice)).status == 204
    assert (await start).error == (500, "The workspace did not start: it was stopped")


async def test_named_servers(open_hub: OpenParts, open_web: OpenWeb) -> None:
    web = open_web(await open_hub(limits=Limits(allow_named_servers=True)))
    alice = await web.parts.token("alice")
    path = "/hub/api/users/alice/servers/gpu"
    assert (await web("GET", path, alice)).error == (404, "User alice has no workspace gpu yet")
    assert (await web("POST", path, alice)).status == 201
    shown = (await web("GET", path, alice)).json
    assert (shown["name"], shown["full_name"], shown["url"]) == (
        "gpu",
        "alice/gpu",
        "/user/alice/gpu/",
    )
    assert shown["progress_url"] == f"{path}/progress"
    user = (await web("GET", "/hub/api/users/alice", alice)).json
    assert (list(user["servers"]), user["server"]) == (["gpu"], None)
    assert (await web("DELETE", path, alice)).status == 204


async def test_progress_from_the_beginning_to_the_end(web: Web, alice: str) -> None:
    web.parts.domain.slow_spawn_seconds = 0
    go_on = asyncio.Event()
    web.parts.spawner.behaviour = held_by(go_on)
    await web("POST", SERVER, alice)
    await web.parts.spawner.starting.wait()
    async with web.stream(f"{SERVER}/progress", alice) as first:
        async with web.stream(f"{SERVER}/progress", alice) as second:
            await first.content.readuntil(b"Making it")
            go_on.set()
            events = await read(second)
        await read(first)
    assert events == [
        {"message": "Starting your workspace"},
        {"progress": 10, "message": "Making it"},
        {"progress": 90, "message": "It answers"},
        {"progress": 100, "message": "Your workspace is ready", "ready": True},
    ]
    async with web.stream(f"{SERVER}/progress", alice) as late:
        assert await read(late) == events[-1:]
    assert web.parts.domain.streams._ends == set()


async def test_progress_of_a_restart_does_not_fail(web: Web, alice: str) -> None:
    """Who asks for a start during a stop follows the stop and the start after it."""
    await web.parts.ready()
    web.parts.domain.slow_spawn_seconds = 0
    go_on = asyncio.Event()
    web.parts.spawner.stop_behaviour = held_by(go_on)
    assert (await web("DELETE", SERVER, alice)).status == 202
    assert (await web("POST", SERVER, alice)).status == 202
    async with web.stream(f"{SERVER}/progress", alice) as response:
        go_on.set()
        events = await read(response)
    assert not any(event.get("failed") for event in events)
    assert events[-1]["ready"]


async def test_listener_that_leaves_leaves_nothing(web: Web, alice: str) -> None:
    web.parts.domain.slow_spawn_seconds = 0
    web.parts.spawner.behaviour = held_by(asyncio.Event())
    await web("POST", SERVER, alice)
    streams = web.parts.domain.streams
    async with web.stream(f"{SERVER}/progress", alice) as response:
        await response.content.readuntil(b"\n\n")
        assert len(streams._ends) == 1
        response.close()
    await until(lambda: not streams._ends and not streams._tasks._tasks)
    assert (await web("GET", SERVER, alice)).json["pending"] == "spawn"


async def test_streams_end_at_shutdown(
    web: Web, alice: str, caplog: pytest.LogCaptureFixture
) -> None:
    web.parts.domain.slow_spawn_seconds = 0
    web.parts.spawner.behaviour = held_by(asyncio.Event())
    await web("POST", SERVER, alice)
    async with web.stream(f"{SERVER}/progress", alice) as response:
        await response.content.readuntil(b"\n\n")
        await web.parts.domain.streams.aclose()
        assert all("ready" not in event for event in await read(response))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_who_starts_whose(web: Web, alice: str, ada: str) -> None:
    assert (await web("POST", SERVER, ada)).status == 201
    assert (await web("DELETE", SERVER, ada)).status == 204
    assert (await web("POST", "/hub/api/users/bob/server", alice)).error[0] == 404
    events = {action: (actor, user) for action, _, actor, user in await web.parts.events()}
    assert events["server.start"] == events["server.stop"] == ("ada", "alice")


@pytest.fixture
async def named(open_hub: OpenParts, open_web: OpenWeb) -> Web:
    """A hub in which a person may have two named workspaces."""
    limits = Limits(allow_named_servers=True, named_servers_per_user=2)
    return open_web(await open_hub(limits=limits))


GPU = "/hub/api/users/alice/servers/gpu"
REMOVE = {"remove": True}


async def test_made_without_being_started(named: Web) -> None:
    alice = await named.parts.token("alice")
    reply = await named("PUT", GPU, alice)
    assert (reply.status, reply.json["name"], reply.json["status"]) == (201, "gpu", "stopped")
    again = await named("PUT", GPU, alice)
    assert (again.status, again.json) == (200, reply.json)
    assert named.parts.spawner.calls == []
    assert (await named("PUT", f"{GPU}2", alice)).status == 201
    status, message = (await named("PUT", f"{GPU}3", alice)).error
    assert (status, "which is the limit" in message) == (400, True)
    assert (await named("PUT", SERVER, alice)).status == 201
    for wrong in ("A", "a_b", "-"):
        assert (await named("PUT", f"/hub/api/users/alice/servers/{wrong}", alice)).error[0] == 400
    ada = await named.parts.token("ada")
    assert (await named("PUT", "/hub/api/users/nobody/servers/gpu", ada)).error[0] == 404


async def test_not_made_where_they_are_not_allowed(web: Web, alice: str) -> None:
    status, message = (await web("PUT", GPU, alice)).error
    assert (status, message) == (400, "Named workspaces are not enabled on this hub")


async def test_removed(named: Web) -> None:
    """Stopped first, home and all; the name is free again."""
    alice = await named.parts.token("alice")
    assert (await named("POST", GPU, alice)).status == 201
    reply = await named("DELETE", GPU, alice, json=REMOVE)
    assert (reply.status, reply.body) == (204, b"")
    assert (named.parts.spawner.world, named.parts.spawner.homes) == ({}, set())
    assert (await named("GET", GPU, alice)).error[0] == 404
    assert (await named("DELETE", GPU, alice, json=REMOVE)).error[0] == 404
    assert (await named("PUT", GPU, alice)).status == 201
    assert (await named("DELETE", GPU, alice, json=REMOVE)).status == 204


async def test_stopped_and_not_removed(named: Web) -> None:
    alice = await named.parts.token("alice")
    await named("POST", GPU, alice)
    for body in ({}, {"remove": False}, {"other": 1}):
        assert (await named("DELETE", GPU, alice, json=body)).status == 204
        assert (await named("GET", GPU, alice)).json["status"] == "stopped"
    assert (await named("DELETE", GPU, alice, json={"remove": "yes"})).error[0] == 400


async def test_the_default_one_is_only_stopped(named: Web) -> None:
    alice = await named.parts.token("alice")
    await named("POST", SERVER, alice)
    status, message = (await named("DELETE", SERVER, alice, json=REMOVE)).error
    assert (status, message) == (400, "The default workspace cannot be deleted, only stopped")
    assert (await named("GET", SERVER, alice)).json["status"] == "ready"


async def test_slow_removal(named: Web) -> None:
    """Told as under way; meanwhile nobody starts it or makes it anew."""
    alice = await named.parts.token("alice")
    await named("POST", GPU, alice)
    named.parts.domain.slow_spawn_seconds = 0.01
    go_on = asyncio.Event()
    named.parts.spawner.stop_behaviour = held_by(go_on)
    assert (await named("DELETE", GPU, alice, json=REMOVE)).status == 202
    for method in ("POST", "PUT"):
        message = "alice's workspace gpu is being deleted"
        assert (await named(method, GPU, alice)).error == (409, message)
    assert (await named("DELETE", GPU, alice)).status in {202, 204}
    go_on.set()
    await until(lambda: named.parts.readmodel.server_of("alice", "gpu") is None)
    assert (await named("PUT", GPU, alice)).status == 201
