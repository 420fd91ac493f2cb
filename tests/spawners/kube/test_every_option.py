"""Whatever an admin sets, Kubernetes takes what is made of it: the oldest that we support, and the
newest that there is. A new option belongs into `option_samples`.
"""

import re
from typing import Any

import pytest

from kworkspace.cli.client.names import parse_user_name
from kworkspace.spawners.base import Spawner
from kworkspace.spawners.kube import KubeSpawner
from kworkspace.spawners.kube.names import probe
from kworkspace.spawners.kube.profiles import apply_profile, resolve
from kworkspace.spawners.kube.templates import FIELDS
from tests.kube_api.api.statuses import Refusal
from tests.kube_api.objects import Object
from tests.spawners.kube.made import ALICE, configured, everything
from tests.spawners.kube.option_samples import NEEDS, NOT_IN_A_MANIFEST, SAMPLES
from tests.spawners.kube.taken import VERSIONS, check_schema, check_taken

KINDS = {"Namespace", "PersistentVolumeClaim", "Secret", "Pod", "Job"}
# Those that go together with all others: one value each.
TOGETHER = {
    name: values[0] for name, values in SAMPLES.items() if name not in {"storage_pvc_ensure", "uid"}
} | {
    "container_security_context": {"capabilities": {"add": ["SYS_PTRACE"]}},
    "pod_security_context": {"fsGroupChangePolicy": "Always"},
}


@pytest.fixture(autouse=True)
def same_job_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Jobs of one option differ by nothing else then."""
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)


async def made(**options: Any) -> dict[str, Object]:
    """Return all that is made for a workspace, as a start makes it."""
    spawner = configured(**options)
    found: Any = await resolve(apply_profile(spawner, ALICE), ALICE)
    return everything(found, ALICE)


EVERY_VALUE = [
    pytest.param(name, value, id=f"{name}-{index}")
    for name, values in SAMPLES.items()
    for index, value in enumerate(values)
]


def test_every_option_is_here() -> None:
    """The base's own say when the hub starts and stops what; none is of a manifest."""
    options = set(KubeSpawner.class_trait_names(config=True))
    own = options - set(Spawner.class_trait_names(config=True))
    assert set(SAMPLES) | set(NOT_IN_A_MANIFEST) == own
    assert not set(SAMPLES) & set(NOT_IN_A_MANIFEST)


def test_versions() -> None:
    """1.30 is the oldest that upstream kept up in 2025; the newest is what there are schemas of."""
    oldest, newest = (
        [int(part) for part in re.findall(r"\d+", version)[:2]] for version in VERSIONS
    )
    assert oldest == [1, 30]
    assert newest >= [1, 36]


@pytest.mark.parametrize(("name", "value"), EVERY_VALUE)
async def test_kubernetes_takes_it(name: str, value: Any) -> None:
    needs = NEEDS.get(name, {})
    without, objects = await made(**needs), await made(**needs, **{name: value})
    changed = [thing for kind, thing in objects.items() if without.get(kind) != thing]
    assert changed or len(objects) < len(without), "the sample says nothing"
    check_schema(changed)
    check_taken(objects.values())


@pytest.mark.parametrize("more", [{}, {"sudo": False, "uid": 1000}, {"storage_pvc_ensure": False}])
async def test_all_together(more: dict[str, Any]) -> None:
    objects = await made(**{**TOGETHER, **more})
    wanted = KINDS | {"Service"}
    assert set(objects) == (
        wanted - {"PersistentVolumeClaim"} if "storage_pvc_ensure" in more else wanted
    )
    check_schema(objects.values())
    check_taken(objects.values())


async def test_a_root_pod_is_for_a_baseline_namespace() -> None:
    objects = await made(sudo=True)
    check_taken(objects.values(), "baseline")
    with pytest.raises(Refusal, match="violates PodSecurity"):
        check_taken(objects.values(), "restricted")


@pytest.mark.parametrize(
    "options",
    [
        {"uid": 1000},
        {"uid": lambda *_: 1000, "gid": 100, "fs_gid": 100, "supplemental_gids": [7]},
        {"pod_security_context": {"runAsUser": 1000}},
        {"container_security_context": {"runAsUser": 1000, "runAsNonRoot": True}},
        {"pod_template": {"securityContext": {"runAsUser": 1000}}},
        {
            "uid": 1000,
            "ssh_port": 22,
            "extra_container_config": {
                "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}
            },
        },
        {"profile_list": [{"display_name": "Plain", "overrides": {"uid": 1000}}]},
    ],
)
async def test_a_plain_users_pod_is_for_a_restricted_namespace(options: dict[str, Any]) -> None:
    objects = await made(**options)
    check_schema(objects.values())
    check_taken(objects.values(), "restricted")


@pytest.mark.parametrize(
    ("field", "value"), [("restartPolicy", 1), ("hostNetwrok", True), ("containers", None)]
)
async def test_what_cannot_be_is_found(field: str, value: Any) -> None:
    """Neither check passes everything."""
    pod = (await made())["Pod"]
    pod["spec"][field] = value
    with pytest.raises(AssertionError, match=r"Pod of 1\.30\.0: spec"):
        check_schema([pod])
    with pytest.raises(Refusal):
        check_taken([(await made())["Namespace"], pod])


USERS = ("alice", "1234", "a" * 255, "ü" * 127, "名前", "a.b_c", "a--b", "x-", "root", "~!*,[]#")
# Every way in which a template can spell a user or a workspace.
SPELT = {
    "account_template": "{unescaped_username}",
    "enable_user_namespaces": True,
    "extra_labels": {field: "-{" + field + "}" for field in FIELDS},
    "extra_annotations": {field: "-{" + field + "}" for field in FIELDS},
    "home_dir": "/home/{unescaped_username}",
    "pod_template": {
        "metadata": {
            "labels": {"who": "{unescaped_username}"},
            "annotations": {"who": "{unescaped_username}"},
        }
    },
    "service_type": "NodePort",
    "user_namespace_template": "{escaped_username}",
}


@pytest.mark.parametrize(
    "options", [{}, SPELT, {**SPELT, "pod_name_template": "{escaped_user_server}"}]
)
@pytest.mark.parametrize("server", ["", "lab", "b" * 63])
@pytest.mark.parametrize("user", USERS)
def test_any_name(user: str, server: str, options: dict[str, Any]) -> None:
    workspace = probe(parse_user_name(user), server)
    objects = everything(configured(**options, uid=1000), workspace).values()
    check_schema(objects)
    check_taken(objects, "restricted")
