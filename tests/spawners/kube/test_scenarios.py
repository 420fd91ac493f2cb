"""What people live through with workspaces in a cluster: a real hub and gateway, real ssh.

The same scenarios run on the tests' own cluster and, with `pytest -m cluster`, on a real one that
KUBECONFIG names; KWORKSPACE_TEST_IMAGE is an image with sshd that its nodes have, and
KWORKSPACE_TEST_STORAGE_CLASS the class of homes. Pods must be reachable by their addresses.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kworkspace.spawners.base import Exit, Task, TaskResult
from kworkspace.spawners.kube import KubeSpawner
from tests.conftest import RealHub, wait_until
from tests.kube_api.marks import NEEDS_REAL_PODS
from tests.spawners.kube.house import workspace
from tests.spawners.kube.places import Place, own_cluster, real_cluster

DEADLINE = 120.0
POD = "workspace-alice"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
PROFILES = [
    {"slug": "small", "display_name": "Small", "default": True},
    {
        "slug": "gone",
        "display_name": "An image that is not there",
        "kubespawner_override": {"image": "registry.invalid/no/such:1"},
    },
    {
        "slug": "gpu",
        "display_name": "A GPU that no node has",
        "kubespawner_override": {"extra_resource_limits": {"example.com/gpu": "1"}},
    },
    {
        "slug": "tight",
        "display_name": "Little memory",
        "kubespawner_override": {"mem_limit": "96Mi"},
    },
]


@pytest.fixture(
    params=[
        pytest.param(own_cluster, marks=[NEEDS_REAL_PODS], id="own"),
        pytest.param(real_cluster, marks=[pytest.mark.cluster], id="real"),
    ]
)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    directory = tmp_path / "place"
    directory.mkdir()
    async with request.param(directory) as place, asyncio.timeout(DEADLINE):
        yield place


Open = Callable[..., Any]


@pytest.fixture
async def open_hub(place: Place, make_hub: Callable[..., RealHub]) -> AsyncIterator[Open]:
    """Return a function that starts a hub with a gateway."""
    hubs: list[RealHub] = []

    async def start(**options: Any) -> RealHub:
        config = place.config(profile_list=PROFILES, **options)
        hub = await asyncio.to_thread(make_hub, gateway=True, extra=config)
        hubs.append(hub)
        await asyncio.to_thread(hub.start)
        return hub

    yield start
    for hub in hubs:
        await asyncio.to_thread(hub.kill_everything)


async def call(hub: RealHub, method: str, path: str = "", body: object = None) -> tuple[int, Any]:
    """Make a call about alice."""
    return await asyncio.to_thread(hub.api, method, f"/users/alice{path}", body)


async def refusal(hub: RealHub, profile: str | None = None) -> str:
    """Start what cannot start, and return why, as the server tells it afterwards."""
    status, _ = await call(hub, "POST", "/server", {"profile": profile} if profile else None)
    assert status in {202, 500}
    return await ended(hub)


async def ended(hub: RealHub) -> str:
    """Return why the server has ended, once it has."""

    def error() -> str:
        server = hub.server()
        return str(server["error"]) if server.get("stopped") else ""

    return str(await asyncio.to_thread(wait_until, error, "the server's end"))


async def started(hub: RealHub, profile: str | None = None) -> None:
    """Start it and wait until it is ready."""
    status, body = await call(hub, "POST", "/server", {"profile": profile} if profile else None)
    assert status in {201, 202}, body
    await asyncio.to_thread(wait_until, lambda: hub.server().get("ready"), "the workspace")


async def ssh(hub: RealHub, command: str) -> str:
    """Run a command through the gateway."""
    return await asyncio.to_thread(hub.run_ssh, command)


async def direct(hub: RealHub, place: Place, command: str, key: Path | None = None) -> str | None:
    """Run a command in the pod without the gateway; None if the key is refused."""
    pod = await place.pod()
    notes, host = pod.metadata.annotations, pod.status.pod_ip
    [port] = [
        port.container_port
        for container in pod.spec.containers
        for port in container.ports or ()
        if port.name == "ssh"
    ]
    known_hosts = hub.directory / f"known_hosts-{pod.metadata.uid}"
    known_hosts.write_text(f"[{host}]:{port} {notes['kworkspace.io/host-key']}\n")
    line = ["ssh", "-F", "none", "-i", str(key or hub.key), "-p", str(port)]
    for option in (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts}",
    ):
        line += ["-o", option]
    line += [f"{notes['kworkspace.io/account']}@{host}", command]
    done = await asyncio.to_thread(
        subprocess.run, line, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode == 255:
        assert "Permission denied (publickey" in done.stderr, done.stderr
        return None
    return str(done.stdout)


async def test_a_workspace_one_ssh_away(place: Place, open_hub: Open) -> None:
    """Through the gateway and directly, and what was written is there the next day."""
    hub = await open_hub()
    assert await ssh(hub, "echo tomorrow > note; cat note") == "tomorrow\n"
    assert await direct(hub, place, "cat note") == "tomorrow\n"
    first = (await place.pod()).metadata
    assert (await call(hub, "DELETE", "/server"))[0] == 204
    assert await place.names() == []
    assert await ssh(hub, "cat note") == "tomorrow\n"
    second = (await place.pod()).metadata
    assert second.uid != first.uid
    key = "kworkspace.io/host-key"
    assert second.annotations[key] == first.annotations[key]


async def test_a_plain_user_where_the_cluster_is_strict(place: Place, open_hub: Open) -> None:
    await place.make_namespace(RESTRICTED)
    hub = await open_hub(uid=1000)
    assert await ssh(hub, "id -u; echo kept > note") == "1000\n"
    assert await direct(hub, place, "cat note") == "kept\n"
    assert (await call(hub, "DELETE", "/server"))[0] == 204
    assert await ssh(hub, "cat note") == "kept\n"


async def test_root_is_refused_where_the_cluster_is_strict(place: Place, open_hub: Open) -> None:
    await place.make_namespace(RESTRICTED)
    hub = await open_hub()
    assert 'violates PodSecurity "restricted:latest"' in await refusal(hub)
    assert await place.names() == []


async def test_work_beside_a_home(place: Place, tmp_path: Path) -> None:
    """While the workspace runs, and when it is stopped."""
    exits: list[Exit] = []
    spawner = KubeSpawner(hub_id="hub", data_dir=tmp_path, on_exit=exits.append, **place.options())
    await spawner.open()
    alices = workspace()
    look = Task("look", ("/bin/sh", "-c", "cat note; cp note $KWORKSPACE_TASK_RESULT; exit 3"))
    write = Task("write", ("/bin/sh", "-c", "echo written > note"))
    try:
        running = await spawner.start(alices, lambda _percent, _text: None)
        lines: list[str] = []
        assert await spawner.run_beside(alices, write, lines.append) == TaskResult(0)
        assert await spawner.run_beside(alices, look, lines.append) == TaskResult(3, "written")
        assert await spawner.find(alices.id, "alice") == running
        await spawner.stop(alices.id, "alice")
        assert await spawner.run_beside(alices, look, lines.append) == TaskResult(3, "written")
        assert lines == ["written", "written"]
        assert exits == []
    finally:
        await spawner.delete(alices.id, "alice", user="alice")
        await spawner.aclose()


async def test_keys_change_while_it_runs(
    place: Place, open_hub: Open, make_key: Callable[[Path], str]
) -> None:
    hub = await open_hub()
    await started(hub)
    uid = (await place.pod()).metadata.uid
    key = hub.directory / "another"
    line = await asyncio.to_thread(make_key, key)
    assert await direct(hub, place, "true", key) is None
    status, added = await call(hub, "POST", "/keys", {"key": line})
    assert status == 201
    await opens(hub, place, key, "in\n")
    assert (await call(hub, "DELETE", f"/keys/{added['id']}"))[0] == 204
    await opens(hub, place, key, None)
    assert (await place.pod()).metadata.uid == uid


async def opens(hub: RealHub, place: Place, key: Path, expected: str | None) -> None:
    """Wait until a key opens the pod, or does not: a minute, as a kubelet may take."""
    for _ in range(180):
        if await direct(hub, place, "echo in", key) == expected:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"the key {'does not open' if expected else 'opens'} it")


@pytest.fixture
def make_key() -> Callable[[Path], str]:
    """Return what makes a key and returns its public line."""

    def make(path: Path) -> str:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(command, check=True)
        return path.with_suffix(".pub").read_text()

    return make


async def test_an_image_that_cannot_be_pulled(place: Place, open_hub: Open) -> None:
    hub = await open_hub(start_timeout=8)
    why = await refusal(hub, "gone")
    assert "The image registry.invalid/no/such:1 cannot be pulled yet" in why
    assert await place.names() == []


async def test_no_node_has_what_it_asks_for(place: Place, open_hub: Open) -> None:
    hub = await open_hub(start_timeout=5)
    assert "Waiting for a node with 1 example.com/gpu" in await refusal(hub, "gpu")
    assert await place.names() == []


async def test_a_quota(place: Place, open_hub: Open) -> None:
    await place.forbid_pods()
    hub = await open_hub()
    why = await refusal(hub)
    assert why.startswith("a quota of the cluster is used up: none, requested: pods=1")


async def test_a_profile_that_is_not_there(place: Place, open_hub: Open) -> None:
    hub = await open_hub()
    status, body = await call(hub, "POST", "/server", {"profile": "huge"})
    assert status == 400
    assert "huge" in body["message"]


async def test_out_of_memory(place: Place, open_hub: Open) -> None:
    hub = await open_hub()
    await started(hub, "tight")
    await place.run_out_of_memory(hub)
    assert await ended(hub) == "it ran out of memory (its limit is 96Mi)"


async def test_an_eviction(place: Place, open_hub: Open) -> None:
    hub = await open_hub()
    await started(hub)
    node = (await place.pod()).spec.node_name
    await place.evict()
    assert await ended(hub) == f"its node {node} is being emptied"


async def test_a_pod_deleted_by_hand(place: Place, open_hub: Open) -> None:
    hub = await open_hub()
    await started(hub)
    await place.delete()
    assert await ended(hub) == "its pod was deleted, not by the hub"
    assert await ssh(hub, "echo again") == "again\n"


async def test_a_hub_that_is_killed(place: Place, open_hub: Open) -> None:
    """While a workspace starts, and while it runs: the next hub goes on with it."""
    hub = await open_hub()
    status, _ = await call(hub, "POST", "/server")
    assert status in {201, 202}
    await asyncio.to_thread(hub.kill)
    await asyncio.to_thread(hub.start)
    await asyncio.to_thread(wait_until, lambda: hub.server().get("ready"), "the workspace")
    uid = (await place.pod()).metadata.uid
    assert await ssh(hub, "echo one") == "one\n"
    await asyncio.to_thread(hub.kill)
    await asyncio.to_thread(hub.start)
    assert await ssh(hub, "echo two") == "two\n"
    assert (await place.pod()).metadata.uid == uid
    assert await place.names() == [POD]
