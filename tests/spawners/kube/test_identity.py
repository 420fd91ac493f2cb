"""Who a container runs as, from each place that can say it."""

from typing import Any

import pytest

from kworkspace.spawners.kube.identity import container_context, pod_context, template_container
from tests.spawners.kube.made import configured, identity_of

ROOT = {"runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": False}


def contexts(**options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the securityContext of pod and container."""
    spawner = configured(**options)
    who = identity_of(spawner)
    return pod_context(spawner, who), container_context(spawner, who)


def template(pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """Return a pod_template with securityContexts."""
    spec: dict[str, Any] = {"containers": [{"name": "workspace", "securityContext": container}]}
    return spec if pod is None else {**spec, "securityContext": pod}


def test_root_makes_the_account() -> None:
    who = identity_of(configured())
    assert (who.plain, who.uid, who.gid, who.more_gids) == (False, 1000, 1000, ())
    assert (who.home, who.shell) == ("/home/alice", "/bin/bash")
    assert contexts() == ({"seccompProfile": {"type": "RuntimeDefault"}}, ROOT)


@pytest.mark.parametrize(
    ("options", "uid", "gid"),
    [
        ({"account_uid": 5000}, 5000, 5000),
        ({"account_uid": 5000, "account_gid": 100}, 5000, 100),
        ({"account_gid": 100, "gid": 7}, 1000, 100),
        ({"uid": 0, "account_uid": 5000}, 5000, 5000),
    ],
)
def test_the_account_that_root_makes(options: dict[str, Any], uid: int, gid: int) -> None:
    who = identity_of(configured(**options))
    assert (who.plain, who.uid, who.gid) == (False, uid, gid)


@pytest.mark.parametrize(
    ("options", "uid", "gid", "more"),
    [
        ({"uid": 1001}, 1001, 1001, ()),
        ({"uid": 1001, "gid": 50}, 1001, 50, ()),
        ({"uid": 1001, "gid": 0}, 1001, 0, ()),  # as OpenShift has it
        ({"uid": 1001, "gid": 50, "fs_gid": 60}, 1001, 50, (60,)),
        ({"uid": 1001, "supplemental_gids": [7, 7, 1001]}, 1001, 1001, (7,)),
        ({"container_security_context": {"runAsUser": 1001}}, 1001, 1001, ()),
        ({"pod_security_context": {"runAsUser": 1001, "fsGroup": 9}}, 1001, 1001, (9,)),
        ({"extra_pod_config": {"securityContext": {"runAsUser": 1001}}}, 1001, 1001, ()),
        ({"extra_container_config": {"securityContext": {"runAsUser": 1001}}}, 1001, 1001, ()),
        ({"pod_template": template(runAsUser=1001)}, 1001, 1001, ()),
        ({"pod_template": template({"runAsUser": 1001})}, 1001, 1001, ()),
        ({"pod_template": template({"runAsUser": 9}), "uid": 1001}, 1001, 1001, ()),
        ({"uid": 9, "container_security_context": {"runAsUser": 1001}}, 1001, 1001, ()),
        ({"uid": 1001, "account_uid": 5000}, 1001, 1001, ()),
    ],
)
def test_a_plain_user(options: dict[str, Any], uid: int, gid: int, more: tuple[int, ...]) -> None:
    spawner = configured(**options)
    who = identity_of(spawner)
    assert (who.plain, who.uid, who.gid, who.more_gids) == (True, uid, gid, more)
    pod, container = pod_context(spawner, who), container_context(spawner, who)
    assert pod["fsGroupChangePolicy"] == "OnRootMismatch"
    assert pod["fsGroup"] in {gid, *more}
    assert container["capabilities"] == {"drop": ["ALL"]}
    for key, value in (("runAsUser", uid), ("runAsGroup", gid), ("runAsNonRoot", True)):
        assert container[key] == value


def test_what_an_admin_says_counts_more() -> None:
    pod, container = contexts(
        uid=1001,
        pod_security_context={
            "fsGroup": 5,
            "fsGroupChangePolicy": "Always",
            "seccompProfile": {"type": "Localhost", "localhostProfile": "mine.json"},
        },
        container_security_context={"capabilities": {"drop": ["NET_RAW"]}},
    )
    assert (pod["fsGroup"], pod["fsGroupChangePolicy"]) == (5, "Always")
    assert pod["seccompProfile"] == {"type": "Localhost", "localhostProfile": "mine.json"}
    assert container["capabilities"] == {"drop": ["NET_RAW"]}


@pytest.mark.parametrize(
    ("options", "escalation"),
    [
        ({}, False),
        ({"sudo": True}, True),
        ({"allow_privilege_escalation": True}, True),
        ({"allow_privilege_escalation": None}, None),
        ({"pod_template": template(allowPrivilegeEscalation=True)}, True),
        (
            {
                "pod_template": template(allowPrivilegeEscalation=True),
                "container_security_context": {"allowPrivilegeEscalation": False},
            },
            False,
        ),
        # The API server refuses False together with these two.
        ({"privileged": True}, None),
        ({"container_security_context": {"capabilities": {"add": ["CAP_SYS_ADMIN"]}}}, None),
        ({"container_security_context": {"capabilities": {"add": ["SYS_PTRACE"]}}}, False),
        ({"privileged": True, "pod_template": template(allowPrivilegeEscalation=False)}, None),
    ],
)
def test_privileges_by_set_uid_programs(options: dict[str, Any], escalation: bool | None) -> None:
    assert contexts(**options)[1].get("allowPrivilegeEscalation") is escalation


def test_groups_where_root_runs() -> None:
    pod, container = contexts(fs_gid=60, supplemental_gids=[7])
    assert pod["fsGroup"] == 60
    assert pod["supplementalGroups"] == [7]
    assert "runAsNonRoot" not in {**pod, **container}


def test_the_container_of_a_template() -> None:
    assert template_container(configured()) == {}
    assert template_container(configured(pod_template={"dnsPolicy": "Default"})) == {}
    given = {"containers": [{"name": "other", "image": "x"}, {"name": "workspace", "tty": True}]}
    assert template_container(configured(pod_template=given)) == {"name": "workspace", "tty": True}
