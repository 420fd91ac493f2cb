"""What the hub sees of its pods: ends that nobody asked for, adoption, orphans, keys, deletion."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from kworkspace.cli.client.errors import BadRequest, KworkspaceError, NotFound, StartFailed
from kworkspace.spawners.base import Home, Workspace
from kworkspace.spawners.kube import KubeSpawner
from tests.hub.clock import until
from tests.kube_api.cluster import Cluster
from tests.kube_api.node.images import Image
from tests.kube_api.objects import Object
from tests.spawners.kube.house import NAMESPACE, House, workspace

POD = "workspace-alice"
LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."

End = Callable[[Cluster], Awaitable[None]]


async def is_oom_killed(cluster: Cluster) -> None:
    cluster.kubelet.oom(NAMESPACE, POD)


async def fails(cluster: Cluster) -> None:
    cluster.kubelet.finish(NAMESPACE, POD, 3)


async def completes(cluster: Cluster) -> None:
    cluster.kubelet.finish(NAMESPACE, POD)


async def is_deleted_by_hand(cluster: Cluster) -> None:
    cluster.delete("pods", NAMESPACE, POD)


async def is_deleted_by_force(cluster: Cluster) -> None:
    cluster.delete("pods", NAMESPACE, POD, gracePeriodSeconds=0)


async def is_evicted_by_its_node(cluster: Cluster) -> None:
    await cluster.kubelet.fail(NAMESPACE, POD, "Evicted", LOW)


async def is_drained(cluster: Cluster) -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    cluster.edit("pods", NAMESPACE, POD, lambda pod: pod["status"]["conditions"].append(target))
    cluster.delete("pods", NAMESPACE, POD)


ENDS: list[tuple[End, str]] = [
    (is_oom_killed, "it ran out of memory"),
    (fails, "its first process ended with exit code 3"),
    (completes, "its first process ended"),
    (is_deleted_by_hand, "its pod was deleted, not by the hub"),
    (is_deleted_by_force, "its pod was deleted, not by the hub"),
    (is_evicted_by_its_node, f"its node node1 evicted it: {LOW.rstrip('.')}"),
    (is_drained, "its node node1 is being emptied"),
]


@pytest.mark.parametrize(("end", "reason"), ENDS)
async def test_ends_are_told(house: House, end: End, reason: str) -> None:
    spawner = await house.open()
    alices = workspace()
    running = await house.start(spawner, alices)
    bobs = await house.start(spawner, workspace("bob"))
    await end(house.cluster)
    async with asyncio.timeout(1):
        await until(lambda: house.exits)
    [ended] = house.exits
    assert (ended.id, ended.object_uid) == (alices.id, running.object_uid)
    assert ended.reason.startswith(reason)
    assert await spawner.find(alices.id, "alice") is None
    await spawner.stop(alices.id, "alice", running.object_uid)
    assert house.names("pods") == ["workspace-bob"]
    assert house.exits == [ended], "once"
    assert await spawner.find(bobs.id, "bob") == bobs


@pytest.mark.parametrize(("end", "reason"), [ENDS[0], ENDS[1], ENDS[5]])
async def test_ends_while_the_hub_was_away(house: House, end: End, reason: str) -> None:
    before = await house.open()
    alices = workspace()
    running = await house.start(before, alices)
    await house.close(before)
    await end(house.cluster)
    await house.cluster.wait("pods", lambda pod: pod["status"].get("phase") == "Failed")
    await house.open()
    assert [(one.id, one.object_uid) for one in house.exits] == [(alices.id, running.object_uid)]
    assert house.exits[0].reason.startswith(reason)


async def test_an_end_that_the_watch_missed(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    await house.start(spawner, alices)
    with house.cluster.faults.stale():
        house.cluster.delete("pods", NAMESPACE, POD, gracePeriodSeconds=0)
        house.cluster.faults.drop_watches()
        house.cluster.compact()
    await until(lambda: house.exits)
    assert house.exits[0].reason == "its pod was deleted, not by the hub"


async def test_a_probe_that_fails_for_a_moment_ends_nothing(house: House) -> None:
    spawner = await house.open()
    running = await house.start(spawner, alices := workspace())

    def unready(pod: Object) -> None:
        for one in pod["status"]["conditions"]:
            if one["type"] in {"Ready", "ContainersReady"}:
                one["status"] = "False"
        pod["status"]["containerStatuses"][0]["ready"] = False

    house.cluster.edit("pods", NAMESPACE, POD, unready)
    await until(lambda: spawner.parts.view.all_seen()[0]["status"]["conditions"] != [])
    assert await spawner.find(alices.id, "alice") == running
    assert list(await spawner.running()) == [running]
    assert house.exits == []


# -- stopping ------------------------------------------------------------------------------------


async def test_one_that_ignores_sigterm(house: House) -> None:
    house.cluster.kubelet.images["deaf:1"] = Image(ignores_sigterm=True)
    spawner = await house.open(image="deaf:1", delete_grace_period=1)
    await house.start(spawner, alices := workspace())
    await spawner.stop(alices.id, "alice")
    assert house.names("pods") == []
    assert house.exits == []


async def test_one_whose_node_is_lost_goes_by_force(house: House) -> None:
    spawner = await house.open(delete_grace_period=0, stop_timeout=1)
    await house.start(spawner, alices := workspace())
    house.cluster.store.listeners.remove(house.cluster.kubelet._see)
    house.cluster.edit("pods", NAMESPACE, POD, _has_a_grace_period)
    await spawner.stop(alices.id, "alice")
    assert house.names("pods") == []
    asked = [one for one in house.cluster.calls if (one.verb, one.resource) == ("delete", "pods")]
    assert len(asked) == 2
    house.cluster.store.listeners.append(house.cluster.kubelet._see)


def _has_a_grace_period(pod: Object) -> None:
    pod["spec"]["terminationGracePeriodSeconds"] = 1


async def test_stop_waits_for_a_pod_that_somebody_else_is_deleting(house: House) -> None:
    house.cluster.kubelet.images["cheap:1"] = Image(stop_seconds=0.2)
    spawner = await house.open(delete_grace_period=5)
    await house.start(spawner, alices := workspace())
    house.cluster.delete("pods", NAMESPACE, POD)
    await spawner.stop(alices.id, "alice")
    assert house.names("pods") == []


async def test_stop_finds_what_no_watch_has_shown(house: House) -> None:
    spawner = await house.open()
    other = await house.open()
    with house.cluster.faults.stale():
        start = asyncio.get_running_loop().create_task(house.start(other, alices := workspace()))
        await until(lambda: house.names("pods") == [POD])
        await house.close(other)
        await asyncio.wait([start])
        assert isinstance(start.exception(), StartFailed)
        stop = asyncio.get_running_loop().create_task(spawner.stop(alices.id, "alice"))
        await until(lambda: any(one.verb == "delete" for one in house.cluster.calls) or stop.done())
    await stop
    assert house.names("pods") == []


# -- what there is -------------------------------------------------------------------------------


async def test_everything_of_this_hub_is_listed(house: House) -> None:
    spawner, other = await house.open(), await house.open("other")
    running = await house.start(spawner, workspace())
    others = await house.start(other, workspace("bob"))
    assert list(await spawner.running()) == [running]
    assert list(await other.running()) == [others]
    house.cluster.kubelet.finish(NAMESPACE, POD, 3)
    await until(lambda: house.exits)
    assert [one.object_uid for one in await spawner.running()] == [running.object_uid]
    [home] = await spawner.kept_homes()
    assert home == Home(running.id, "Volume claim workspace-alice")


async def test_reads_while_the_watch_is_cut(house: House) -> None:
    spawner = await house.open()
    running = await house.start(spawner, alices := workspace())
    async with house.cluster.faults.down():
        await until(lambda: not spawner.parts.view._pods.fresh)
    assert await spawner.find(alices.id, "alice") == running
    assert list(await spawner.running()) == [running]


# -- keys ----------------------------------------------------------------------------------------

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleXMgYXJlIG1hZGUgb2YgMzIgYnl0ZXMuLi4u one"
OTHER = KEY.replace(" one", " other")


async def test_new_keys_reach_what_runs(house: House) -> None:
    spawner = await house.open()
    alices = workspace(authorized_keys=(KEY,))
    running = await house.start(spawner, alices)
    told = house.pod()["metadata"]["annotations"]["kworkspace.io/keys"]
    begun = len(house.cluster.calls)
    await spawner.refresh(alices)
    assert len(house.cluster.calls) == begun, "they are as they were"
    changed = Workspace(id=alices.id, user="alice", name="", slug="alice", authorized_keys=(OTHER,))
    await spawner.refresh(changed)
    secret = house.cluster.get("secrets", NAMESPACE, "workspace-alice-ssh")
    assert secret is not None
    assert _text(secret, "authorized_keys") == f"{OTHER}\n"
    assert _text(secret, "ssh_host_ed25519_key.pub").strip() == running.host_key
    assert "PRIVATE KEY" in _text(secret, "ssh_host_ed25519_key")
    notes = house.pod()["metadata"]["annotations"]
    assert notes["kworkspace.io/keys"] not in {told, "changing"}, "so that the node looks at once"
    assert await spawner.find(alices.id, "alice") == running


async def test_a_new_hub_renews_keys_once(house: House) -> None:
    before = await house.open()
    alices = workspace(authorized_keys=(KEY,))
    await house.start(before, alices)
    await house.close(before)
    after = await house.open()
    await after.refresh(alices)
    begun = len(house.cluster.calls)
    await after.refresh(alices)
    assert len(house.cluster.calls) == begun


async def test_two_hubs_do_not_rely_on_what_they_did_themselves(house: House) -> None:
    """One gives a key, the other takes it back: the first one's memory is no proof."""
    one, other = await house.open(), await house.open()
    alices = workspace(authorized_keys=(KEY,))
    await house.start(one, alices)
    more = replace(alices, authorized_keys=(KEY, OTHER))
    await other.refresh(more)
    await until(lambda: _keys(one) == _told(house))
    await one.refresh(alices)
    secret = house.cluster.get("secrets", NAMESPACE, "workspace-alice-ssh")
    assert secret is not None
    assert _text(secret, "authorized_keys") == f"{KEY}\n"


async def test_a_hub_that_dies_while_keys_change(house: House) -> None:
    one, other = await house.open(), await house.open()
    alices = workspace(authorized_keys=(KEY,))
    await house.start(one, alices)
    house.cluster.faults.fail_next(403, verb="patch", kind="secrets", message="it died here")
    with pytest.raises(KworkspaceError, match="the keys of alice are not renewed"):
        await other.refresh(replace(alices, authorized_keys=(OTHER,)))
    await until(lambda: _keys(one) == _told(house) == "changing")
    begun = len(house.cluster.calls)
    await one.refresh(alices)
    patched = [call.resource for call in house.cluster.calls[begun:] if call.verb == "patch"]
    assert patched == ["pods", "secrets", "pods"]


def _told(house: House) -> str:
    return str(house.pod()["metadata"]["annotations"]["kworkspace.io/keys"])


def _keys(spawner: KubeSpawner) -> str:
    [pod] = spawner.parts.view.all_seen()
    return str(pod["metadata"]["annotations"]["kworkspace.io/keys"])


def _text(secret: Object, key: str) -> str:

    return base64.b64decode(secret["data"][key]).decode()


# -- deletion ------------------------------------------------------------------------------------


async def test_deletion_by_a_hub_that_never_saw_it(house: House) -> None:
    before = await house.open()
    alices = workspace()
    await house.start(before, alices)
    await before.stop(alices.id, "alice")
    await house.close(before)
    after = await house.open()
    await after.delete(alices.id, "alice", user="alice")
    assert house.left() == {}


async def test_deletion_spares_what_is_anothers(house: House) -> None:
    spawner, other = await house.open(), await house.open("other")
    others = await house.start(other, workspace())
    await spawner.delete(others.id, "alice", user="alice")
    await spawner.delete(workspace().id, "alice", user="alice")
    assert house.left() == {
        "pods": [POD],
        "persistentvolumeclaims": [POD],
        "secrets": [f"{POD}-ssh"],
    }
    assert await other.find(others.id, "alice") == others
    assert house.exits == []


async def test_an_orphan_leaves_its_home_alone(house: House) -> None:
    spawner = await house.open(service_type="ClusterIP")
    orphan = await house.start(spawner, workspace())
    await spawner.remove_orphan(orphan)
    assert house.left() == {"persistentvolumeclaims": [POD]}
    assert house.exits == []


# -- hooks ---------------------------------------------------------------------------------------


async def test_hooks(house: House) -> None:
    seen: list[Any] = []

    def modify(spawner: Any, pod: Object) -> Object:
        seen.append(spawner)
        pod["metadata"]["labels"]["team"] = "ml"
        return pod

    async def created(spawner: Any, pod: Object) -> None:
        seen.append(pod["metadata"]["uid"])

    spawner = await house.open(modify_pod_hook=modify, after_pod_created_hook=created)
    running = await house.start(spawner, workspace())
    assert seen == [spawner, running.object_uid]
    assert house.pod()["metadata"]["labels"]["team"] == "ml"


def _raises(_spawner: Any, _pod: Object) -> Object:
    raise ValueError("no such project")


def _returns_nothing(_spawner: Any, _pod: Object) -> None: ...


def _renames(_spawner: Any, pod: Object) -> Object:
    pod["metadata"]["name"] = "mine"
    return pod


def _unlabels(_spawner: Any, pod: Object) -> Object:
    del pod["metadata"]["labels"]["kworkspace.io/server"]
    return pod


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (_raises, "c.KubeSpawner.modify_pod_hook: no such project"),
        (_returns_nothing, "c.KubeSpawner.modify_pod_hook: it has to return the pod, not None"),
        (_renames, "c.KubeSpawner.modify_pod_hook: it must not change metadata.name"),
        (_unlabels, "c.KubeSpawner.modify_pod_hook: it must not change kworkspace's own labels"),
    ],
)
async def test_hooks_that_fail(house: House, hook: Callable[..., Any], message: str) -> None:
    spawner = await house.open(modify_pod_hook=hook)
    with pytest.raises(StartFailed) as caught:
        await house.start(spawner, workspace())
    assert caught.value.message == message
    assert house.left() == {}


async def test_a_hook_that_fails_after_the_pod_was_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_spawner: Any, _pod: Object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("kworkspace.spawners.kube.making.HOOK_SECONDS", 0.1)
    for hook, words in ((_raises, "no such project"), (never, "did not return within")):
        spawner = await house.open(after_pod_created_hook=hook)
        with pytest.raises(StartFailed, match=words):
            await house.start(spawner, workspace())
        assert "pods" not in house.left()
        await house.close(spawner)
    assert house.exits == []


# -- what else there is --------------------------------------------------------------------------


async def test_a_service(house: House) -> None:
    spawner = await house.open(service_type="ClusterIP")
    running = await house.start(spawner, alices := workspace())
    assert running.host == f"{POD}.{NAMESPACE}.svc.cluster.local"
    await spawner.stop(alices.id, "alice")
    assert house.names("services") == [POD], "its address stays"
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.left() == {}


async def test_somebody_elses_service(house: House) -> None:
    house.cluster.add(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": POD, "namespace": NAMESPACE},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    spawner = await house.open(service_type="NodePort")
    with pytest.raises(StartFailed, match=f"the Service {POD} is not this workspace's"):
        await house.start(spawner, workspace())
    assert house.left() == {"services": [POD]}


async def test_a_namespace_for_each_user(house: House) -> None:
    spawner = await house.open(
        enable_user_namespaces=True, user_namespace_template="people-{username}"
    )
    alices = workspace()
    running = await house.start(spawner, alices)
    assert house.cluster.get("pods", "people-alice", POD) is not None
    assert list(await spawner.running()) == [running]
    await spawner.delete(alices.id, "alice", user="alice")
    for kind in ("pods", "persistentvolumeclaims", "secrets"):
        assert house.cluster.every(kind, "people-alice") == []


async def test_profiles(house: House) -> None:
    spawner = await house.open(
        profile_list=[
            {"display_name": "Small", "slug": "small"},
            {"display_name": "Big", "slug": "big", "overrides": {"cpu_limit": "4"}},
        ]
    )
    assert [one.slug for one in spawner.profiles()] == ["small", "big"]
    with pytest.raises(BadRequest, match="profile: there is no 'huge'; there is small, big"):
        spawner.check_options({"profile": "huge"})
    spawner.check_options({"profile": "big"})
    await house.start(spawner, workspace(options={"profile": "big"}))
    assert house.pod()["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "4"
    with pytest.raises(StartFailed, match="there is no 'gone'"):  # it was there the last time
        await house.start(spawner, workspace("bob", options={"profile": "gone"}))
    assert house.names("pods") == [POD]


async def test_keys_are_renewed_though_the_profile_is_gone(house: House) -> None:
    small, big = ({"display_name": slug, "slug": slug} for slug in ("small", "big"))
    spawner = await house.open(profile_list=[small, big])
    alices = workspace(options={"profile": "big"}, authorized_keys=("ssh-ed25519 STOLEN",))
    await house.start(spawner, alices)
    spawner.profile_list = [small]
    await spawner.refresh(replace(alices, authorized_keys=("ssh-ed25519 NEW",)))
    secret = house.cluster.get("secrets", NAMESPACE, f"{POD}-ssh")
    assert secret is not None
    assert base64.b64decode(secret["data"]["authorized_keys"]) == b"ssh-ed25519 NEW\n"


async def test_activity_and_exec(house: House) -> None:
    def program(argv: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        return 3, " ".join(argv).encode() + stdin, b"oh"

    house.cluster.kubelet.images["cheap:1"] = Image(exec=program)
    house.cluster.metrics.installed = True
    house.cluster.metrics.usage[NAMESPACE, POD] = {"cpu": "250m"}
    spawner = await house.open()
    running = await house.start(spawner, alices := workspace())
    [seen] = await spawner.activity()
    assert (seen.id, seen.object_uid, seen.cpu.value) == (alices.id, running.object_uid, 0.25)
    result = await spawner.exec(alices.id, ["echo", "a"], stdin=b"b")
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"echo ab", b"oh")
    await spawner.stop(alices.id, "alice")
    assert await spawner.activity() == []
    with pytest.raises(NotFound):
        await spawner.exec(alices.id, ["true"])


async def test_the_rights_that_it_has(house: House) -> None:
    spawner = await house.open()
    assert all(one.ok for one in await spawner.check())
    config = house.cluster.user("nobody", [], NAMESPACE)
    with pytest.raises(KworkspaceError) as caught:
        await house.open(kubeconfig=str(config))
    assert "list" in caught.value.message
    assert NAMESPACE in caught.value.message
    assert "\n" not in caught.value.message
