"""The Secret that the hub cannot read: whose it is, and what becomes of its host key."""

import base64
from dataclasses import replace
from functools import partial
from typing import Any

import asyncssh
import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.kube.objects import new_host_key
from tests.spawners.hosts import Hosts
from tests.spawners.kube.house import NAMESPACE, House, workspace

SECRET = "workspace-alice-ssh"


def secret(**labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAMESPACE, "labels": labels},
        "data": {"password": base64.b64encode(b"of somebody else").decode()},
    }


@pytest.mark.parametrize(
    "labels",
    [{}, {"kworkspace.io/hub": "other"}, {"kworkspace.io/hub": "hub", "kworkspace.io/server": "x"}],
)
async def test_what_is_anothers_is_not_touched(house: House, labels: dict[str, str]) -> None:
    house.cluster.add(secret(**labels))
    before = house.cluster.get("secrets", NAMESPACE, SECRET)
    spawner = await house.open()
    with pytest.raises(StartFailed, match=f"the Secret {SECRET} is not this workspace's"):
        await house.start(spawner, alices := workspace())
    assert house.left() == {"secrets": [SECRET]}
    await spawner.delete(alices.id, "alice", user="alice")
    assert house.cluster.get("secrets", NAMESPACE, SECRET) == before


async def test_one_that_was_emptied_gets_a_new_host_key(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    first = await house.start(spawner, alices)
    await spawner.stop(alices.id, "alice")
    house.cluster.edit("secrets", NAMESPACE, SECRET, lambda one: one["data"].clear())
    second = await house.start(spawner, alices)
    assert second.host_key.startswith("ssh-ed25519 ")
    assert second.host_key != first.host_key
    await spawner.stop(alices.id, "alice")
    assert (await house.start(spawner, alices)).host_key == second.host_key, "and keeps it"


async def test_the_hub_never_reads_a_secret(house: House) -> None:
    spawner = await house.open()
    alices = workspace()
    for _ in range(2):
        await house.start(spawner, alices)
        await spawner.refresh(workspace(id=alices.id, authorized_keys=("ssh-ed25519 AAAA x",)))
        await spawner.stop(alices.id, "alice")
    await spawner.delete(alices.id, "alice", user="alice")
    verbs = {one.verb for one in house.cluster.calls if one.resource == "secrets"}
    assert verbs == {"create", "patch", "delete"}
    assert house.left() == {}


async def test_the_certificate_is_of_the_key_that_is_there(house: House) -> None:
    """Of a new one, the one that stays, and the one in place of an emptied one; seldom anew."""
    spawner, hosts = await house.open(), Hosts()
    alices = workspace()
    alices = replace(alices, certify=partial(hosts.certify, alices.id))

    def certified() -> list[str]:
        found = house.cluster.get("secrets", NAMESPACE, SECRET)
        assert found is not None
        line = base64.b64decode(found["data"]["ssh_host_ed25519_key-cert.pub"])
        key = asyncssh.import_certificate(line).key
        return key.export_public_key().decode().split()[:2]

    for _ in range(2):
        running = await house.start(spawner, alices)
        assert certified() == running.host_key.split()[:2]
        many = len(hosts.asked)
        for keys in ((), ("ssh-ed25519 AAAA x",)):
            await spawner.refresh(replace(alices, authorized_keys=keys))
            assert certified() == running.host_key.split()[:2]
        await spawner.refresh(replace(alices, authorized_keys=keys))
        assert len(hosts.asked) <= many + 2
        await spawner.stop(alices.id, "alice")
    house.cluster.edit("secrets", NAMESPACE, SECRET, lambda one: one["data"].clear())
    running = await house.start(spawner, alices)
    assert certified() == running.host_key.split()[:2]


async def test_another_certificate_when_it_is_time(house: House) -> None:
    """And nothing else of the Secret is another one then."""
    spawner, hosts = await house.open(), Hosts()
    alices = workspace()
    alices = replace(alices, certify=partial(hosts.certify, alices.id), certificate_mark="1")
    running = await house.start(spawner, alices)
    many, before = len(hosts.asked), house.cluster.get("secrets", NAMESPACE, SECRET)
    await spawner.refresh(alices)
    assert (len(hosts.asked), house.cluster.get("secrets", NAMESPACE, SECRET)) == (many, before)
    await spawner.refresh(replace(alices, certificate_mark="2"))
    assert len(hosts.asked) == many + 1
    after = house.cluster.get("secrets", NAMESPACE, SECRET)
    assert before is not None
    assert after is not None
    changed = {name for name, text in after["data"].items() if before["data"][name] != text}
    assert changed == {"ssh_host_ed25519_key-cert.pub"}
    assert hosts.asked[-1].split()[:2] == running.host_key.split()[:2]


async def test_host_keys() -> None:
    private, public = new_host_key()
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    kind, key = public.split()
    assert kind == "ssh-ed25519"
    assert len(base64.b64decode(key)) == 51
    assert new_host_key() != (private, public)
