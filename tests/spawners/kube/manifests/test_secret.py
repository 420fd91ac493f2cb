"""The Secret of a workspace: what is in it, and that its account files can be read by login."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from kworkspace.spawners.kube.manifests.secret import group, make_secret, passwd, script
from kworkspace.spawners.kube.names import names
from kworkspace.spawners.kube.own import FILES_VOLUME
from tests.spawners.kube.made import (
    ALICE,
    HOST_KEY,
    PRIVATE,
    configured,
    container_of,
    identity_of,
    pod_of,
    secret_of,
)

KEY = "ssh_host_ed25519_key"


def content(**options: Any) -> dict[str, str]:
    data = secret_of(configured(**options))["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def test_what_is_in_it() -> None:
    found = content()
    assert found["authorized_keys"] == "".join(f"{key}\n" for key in ALICE.authorized_keys)
    assert found["user_ca.pub"] == "ssh-ed25519 AAAAauthority\n"
    assert (found[KEY], found[f"{KEY}.pub"]) == (PRIVATE, f"{HOST_KEY}\n")
    assert found["bootstrap.sh"] == script("bootstrap.sh")
    assert found["bootstrap.sh"].startswith("#!/bin/sh\n")
    assert found["profile.sh"] == script("profile.sh")


def test_an_authority_that_rotates() -> None:
    """sshd takes each line of the file for one (sshd_config(5), TrustedUserCAKeys)."""
    both = replace(ALICE, user_authorities=("ssh-ed25519 AAAAold", "ssh-ed25519 AAAAnew"))
    data = secret_of(configured(), both)["data"]
    lines = base64.b64decode(data["user_ca.pub"]).decode()
    assert lines == "ssh-ed25519 AAAAold\nssh-ed25519 AAAAnew\n"


def test_nobody_may_come_in() -> None:
    nobody = replace(ALICE, authorized_keys=(), user_authorities=())
    data = secret_of(configured(), nobody)["data"]
    assert (data["authorized_keys"], data["user_ca.pub"]) == ("", "")


def test_a_host_key_that_is_there_is_not_touched() -> None:
    spawner = configured()
    secret = make_secret(
        spawner, ALICE, names(spawner, ALICE), host_key_private=None, host_key_public=None
    )
    assert not {KEY, f"{KEY}.pub"} & secret["data"].keys()


def test_it_can_be_changed_while_the_pod_runs() -> None:
    secret = secret_of(configured())
    assert secret["type"] == "Opaque"
    assert "immutable" not in secret
    assert secret["metadata"]["name"] == "workspace-alice-ssh"


@pytest.mark.parametrize("options", [{}, {"uid": 1001}])
def test_what_is_mounted_is_there(options: dict[str, Any]) -> None:
    mounts = container_of(pod_of(configured(**options)))["volumeMounts"]
    files = {
        mount["subPath"] for mount in mounts if mount["name"] == FILES_VOLUME and "subPath" in mount
    }
    assert files <= content(**options).keys()
    assert bool(files) == ("uid" in options)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "alice:*:1000:1000:alice:/home/alice:/bin/bash"),
        ({"uid": 7, "gid": 8, "shell": "/bin/ash"}, "alice:*:7:8:alice:/home/alice:/bin/ash"),
        (
            {"account_template": "dev", "home_dir": "/data/{account}"},
            "dev:*:1000:1000:dev:/data/dev:/bin/bash",
        ),
    ],
)
def test_accounts(options: dict[str, Any], line: str) -> None:
    lines = content(**options)["passwd"].splitlines()
    assert line in lines
    assert {each.count(":") for each in lines} == {6}
    names = [each.partition(":")[0] for each in lines]
    assert len(set(names)) == len(names)
    assert {"root", "sshd", "nobody"} < set(names)


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({"uid": 7}, {7: "alice"}),
        (
            {"uid": 7, "gid": 8, "fs_gid": 9, "supplemental_gids": [10]},
            {8: "alice", 9: "group9", 10: "group10"},
        ),
        ({"uid": 7, "gid": 5}, {5: "tty"}),
        ({"uid": 7, "gid": 0}, {0: "root"}),
    ],
)
def test_groups(options: dict[str, Any], groups: dict[int, str]) -> None:
    who = identity_of(configured(**options))
    lines = [line.split(":") for line in group("alice", who).splitlines()]
    assert {len(line) for line in lines} == {4}
    found = {int(gid): name for name, _, gid, _ in lines}
    assert groups.items() <= found.items()
    assert len(set(found.values())) == len(lines)


def test_no_account_is_locked() -> None:
    """`!` would be; `*` only says that no password lets in."""
    who = identity_of(configured())
    assert {line.split(":")[1] for line in passwd("alice", who).splitlines()} == {"*"}
