"""Homes: found by label and by name, taken over, grown, and deleted only when they may be."""

from typing import Any

import pytest

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.kube.names import names
from kworkspace.spawners.kube.pods import is_terminating
from kworkspace.spawners.kube.templates import hashed
from tests.kube_api.objects import Object
from tests.spawners.kube.house import NAMESPACE, House, workspace

CLAIM = "workspace-alice"
STIFF = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc"
    " must support resize"
)
OURS = {"app.kubernetes.io/managed-by": "kworkspace", "kworkspace.io/hub": "hub"}


def claim(name: str = CLAIM, size: str = "1Gi", cls: str = "", **labels: str) -> Object:
    """Return a claim as somebody else would make it."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": spec | ({"storageClassName": cls} if cls else {}),
    }


def size(house: House) -> str:
    """Return the size that is asked for."""
    found = house.cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM)
    assert found is not None
    return str(found["spec"]["resources"]["requests"]["storage"])


def mounted(house: House) -> str:
    """Return the claim that alice's pod has."""
    volumes = house.pod()["spec"]["volumes"]
    [name] = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes
        if "persistentVolumeClaim" in volume
    ]
    return str(name)


async def test_the_predecessors_claim_is_taken_over(house: House) -> None:
    """It bears no labels, and the name that the template gives."""
    made = house.cluster.add(claim())
    spawner = await house.open(storage_capacity="1Gi")
    alices = workspace()
    await house.start(spawner, alices)
    found = house.cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM)
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert (
        found["metadata"]["labels"].items()
        >= {
            **OURS,
            "kworkspace.io/server": alices.id,
        }.items()
    )
    managers = {one["manager"]: one["operation"] for one in found["metadata"]["managedFields"]}
    assert managers["kworkspace"] == "Apply"
    assert mounted(house) == CLAIM


async def test_a_changed_template_loses_no_home(house: House) -> None:
    before = await house.open()
    alices = workspace()
    await house.start(before, alices)
    await before.stop(alices.id, "alice")
    await house.close(before)
    after = await house.open(pvc_name_template="home-{slug}")
    await house.start(after, alices)
    assert mounted(house) == CLAIM
    assert house.names("persistentvolumeclaims") == [CLAIM]
    await after.delete(alices.id, "alice", user="alice")
    assert house.left() == {}


async def test_a_renamed_user_loses_no_home(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    await house.start(spawner, alices)
    await spawner.stop(alices.id, "alice")
    await house.start(spawner, workspace("alicia", id=alices.id, slug="alice"))
    assert mounted(house) == CLAIM
    found = house.cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM)
    assert found is not None
    assert found["metadata"]["annotations"]["kworkspace.io/user-name"] == "alicia"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"app.kubernetes.io/managed-by": "Helm"}, "is managed by (Helm)"),
        ({**OURS, "kworkspace.io/hub": "other"}, "belongs to another hub (other)"),
        ({**OURS, "kworkspace.io/server": "other"}, "belongs to another workspace (other)"),
        ({**OURS, "kworkspace.io/user": "bob"}, "belongs to another user (bob)"),
    ],
)
async def test_what_is_anothers_is_refused(
    house: House, labels: dict[str, str], words: str
) -> None:
    house.cluster.add(claim(**labels))
    before = house.cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM)
    spawner = await house.open()
    alices = workspace()
    with pytest.raises(StartFailed) as caught:
        await house.start(spawner, alices)
    assert caught.value.message.startswith(f"the volume claim {CLAIM} {words}; an admin has to")
    assert house.left() == {"persistentvolumeclaims": [CLAIM]}
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.cluster.get("persistentvolumeclaims", NAMESPACE, CLAIM) == before


async def test_a_home_grows(house: House) -> None:
    before = await house.open(storage_capacity="1Gi")
    alices = workspace()
    await house.start(before, alices)
    await before.stop(alices.id, "alice")
    await house.close(before)
    after = await house.open(storage_capacity="2Gi")
    await house.start(after, alices)
    assert size(house) == "2Gi"
    assert "The home grows from 1Gi to 2Gi" in house.messages


async def test_a_home_never_shrinks(house: House) -> None:
    house.cluster.add(claim(size="10Gi"))
    spawner = await house.open(storage_capacity="1Gi")
    await house.start(spawner, workspace())
    assert size(house) == "10Gi"
    assert not [message for message in house.messages if "home" in message]


async def test_a_claim_that_is_there_needs_no_quota(house: House) -> None:
    """Kubernetes refuses what a quota has no room for before it sees that it exists."""
    house.cluster.add(claim())
    house.cluster.faults.fail_next(
        403, verb="create", kind="persistentvolumeclaims", message="exceeded quota: homes"
    )
    spawner = await house.open(storage_capacity="1Gi")
    await house.start(spawner, workspace())
    assert mounted(house) == CLAIM


async def test_no_claim_and_no_quota(house: House) -> None:
    house.cluster.faults.fail_next(
        403, verb="create", kind="persistentvolumeclaims", message="exceeded quota: homes"
    )
    spawner = await house.open()
    with pytest.raises(StartFailed, match="a quota of the cluster is used up: homes"):
        await house.start(spawner, workspace())
    assert house.left() == {}


async def test_a_class_that_does_not_grow(house: House) -> None:
    """The workspace starts with the room that it has, and says so."""
    before = await house.open(storage_capacity="1Gi")
    alices = workspace()
    await house.start(before, alices)
    await before.stop(alices.id, "alice")
    await house.close(before)
    house.cluster.faults.fail_next(
        403,
        verb="patch",
        kind="persistentvolumeclaims",
        reason="Forbidden",
        message=f'persistentvolumeclaims "{CLAIM}" is forbidden: {STIFF}',
    )
    after = await house.open(storage_capacity="2Gi")
    await house.start(after, alices)
    assert size(house) == "1Gi"
    [told] = [message for message in house.messages if "The home stays" in message]
    assert told == f"The home stays at 1Gi, it cannot grow to 2Gi: the cluster refuses it: {STIFF}"


async def test_a_claim_that_is_being_deleted(house: House) -> None:
    """It goes when its pod goes; until then nobody starts on it."""
    spawner = await house.open()
    alices = workspace()
    await house.start(spawner, alices)
    house.cluster.delete("persistentvolumeclaims", NAMESPACE, CLAIM)
    seen = spawner.parts.view._claims
    await seen.changed((NAMESPACE, CLAIM), lambda one: one is not None and is_terminating(one))
    with pytest.raises(StartFailed, match="the volume claim workspace-alice is being deleted"):
        await spawner.parts.claims.ensure(
            spawner, alices, names(spawner, alices), lambda _text: None
        )
    await spawner.stop(alices.id, "alice")
    await house.cluster.wait_gone("persistentvolumeclaims", NAMESPACE, CLAIM)


async def test_a_claim_that_stays_in_use(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kworkspace.spawners.kube.claims.GONE_SECONDS", 0.1)
    spawner = await house.open()
    alices = workspace()
    await house.start(spawner, alices)
    other = house.pod()
    house.cluster.add(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "other", "namespace": NAMESPACE},
            "spec": {key: other["spec"][key] for key in ("containers", "volumes")},
        }
    )
    await house.cluster.wait("pods", lambda pod: pod["metadata"]["name"] == "other" and ran(pod))
    with pytest.raises(KworkspaceError, match="is deleted, but still in use"):
        await spawner.delete(alices.id, "alice", user="alice")


def ran(pod: Object) -> bool:
    return bool(pod["status"].get("phase") == "Running")


async def test_one_home_for_all_workspaces_of_a_user(house: House) -> None:
    """It goes with the default workspace, which goes with its user."""
    spawner = await house.open(
        pvc_name_template="home-{username}", storage_access_modes=["ReadWriteMany"]
    )
    alices, gpu, bobs = workspace(), workspace(name="gpu"), workspace("bob")
    for one in (alices, gpu, bobs):
        await house.start(spawner, one)
    assert house.names("persistentvolumeclaims") == ["home-alice", "home-bob"]
    assert await spawner.kept_homes() == [], "they are of no one workspace"
    await spawner.delete(gpu.id, gpu.slug, user="alice", name="gpu")
    assert house.names("persistentvolumeclaims") == ["home-alice", "home-bob"]
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.names("persistentvolumeclaims") == ["home-bob"]


async def test_another_users_shared_home_is_refused(house: House) -> None:
    house.cluster.add(claim("home-alice", **{**OURS, "kworkspace.io/user": "bob"}))
    spawner = await house.open(pvc_name_template="home-{username}")
    with pytest.raises(StartFailed, match=r"belongs to another user \(bob\)"):
        await house.start(spawner, alices := workspace())
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.names("persistentvolumeclaims") == ["home-alice"]


async def test_homes_may_outlive_their_users(house: House) -> None:
    spawner = await house.open(delete_pvc=False)
    alices = workspace()
    await house.start(spawner, alices)
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.left() == {"persistentvolumeclaims": [CLAIM]}


async def test_without_storage(house: House) -> None:
    spawner = await house.open(storage_pvc_ensure=False)
    alices = workspace()
    await house.start(spawner, alices)
    assert "persistentvolumeclaims" not in house.left()
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.left() == {}


async def test_a_name_made_to_look_like_anothers_gets_no_home_of_theirs(house: House) -> None:
    """Where the template has names as they are, the name of a claim may be one's hash."""
    spawner = await house.open(pvc_name_template="{unescaped_username}")
    await house.start(spawner, workspace("\u00fcmit", slug="a"))
    with pytest.raises(StartFailed, match="belongs to another user"):
        await house.start(spawner, workspace(hashed("\u00fcmit", 63), slug="b"))
