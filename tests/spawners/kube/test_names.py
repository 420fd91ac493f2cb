"""What objects and accounts are called, for users and workspaces of any name."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kworkspace.cli.client.names import is_dns_label
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.names import account_name, meeting, names, probe, shares_claim
from kworkspace.spawners.kube.templates import is_label_value
from tests.spawners.kube.made import configured, everything

SPAWNER = configured(
    service_type="ClusterIP",
    enable_user_namespaces=True,
    extra_labels={"who": "{unescaped_username}"},
    extra_annotations={"who": "{unescaped_username}"},
    volumes=[{"name": "data", "nfs": {"server": "nfs", "path": "/data/{username}"}}],
)
USERS = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/+=:@"), min_size=1
).filter(lambda text: text[0] not in "-." and len(text.encode()) <= 255)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


def workspace(user: str, name: str, slug: str) -> Workspace:
    return Workspace(id="5e1f", user=user, name=name, slug=slug)


@given(st.one_of(USERS, LABELS), st.one_of(st.just(""), LABELS), LABELS)
def test_what_is_made_for_anybody_is_allowed(user: str, name: str, slug: str) -> None:
    for kind, thing in everything(SPAWNER, workspace(user, name, slug)).items():
        metadata = thing["metadata"]
        assert is_dns_label(metadata["name"]), (kind, metadata["name"])
        assert kind != "Service" or metadata["name"][0].isalpha(), "RFC 1035"
        assert all(map(is_label_value, metadata["labels"].values()))
    account = account_name(SPAWNER, workspace(user, name, slug))
    assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", account), "useradd(8)"
    assert account not in {"root", "nobody", "sshd", "daemon"}


@given(LABELS, LABELS)
@example("a" * 62, "a" * 63)
@example("a" * 63, "a" * 62 + "b")
@example("a", "a")
def test_two_slugs_never_share_an_object(one: str, other: str) -> None:
    first, second = (names(SPAWNER, workspace("a", "", slug)) for slug in (one, other))
    for field in ("pod", "claim", "secret", "service"):
        assert (getattr(first, field) == getattr(second, field)) == (one == other)


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("alice", "alice"),
        ("a_b-c", "a_b-c"),
        ("a" * 32, "a" * 32),
        ("root", "root-#"),
        ("sshd", "sshd-#"),
        ("7up", "u-7up-#"),
        ("alice.smith", "alice-smith-#"),
        ("王小明", "u-#"),
        ("a" * 33, f"{'a' * 21}-#"),
    ],
)
def test_an_account(user: str, account: str) -> None:
    spawner = configured(account_template="{unescaped_username}")
    pattern = account.replace("#", "[0-9a-f]{8}")
    assert re.fullmatch(pattern, account_name(spawner, probe(user, "")))


@pytest.mark.parametrize(
    ("template", "shared"),
    [
        ("workspace-{slug}", False),
        ("home-{username}", True),
        ("{user_server}", False),
        ("home-{username}-{servername}x", False),
    ],
)
def test_whether_workspaces_of_a_user_share_a_home(template: str, shared: bool) -> None:
    assert shares_claim(configured(pvc_name_template=template)) is shared


def test_two_workspaces_that_meet_are_found() -> None:
    spawner = configured()
    assert meeting(spawner, "pod") is None
    spawner.pod_name_template = "w-{username}-{servername}"
    met = meeting(spawner, "pod")
    assert met is not None
    assert {(one.user, one.name) for one in met} == {("a", "b"), ("a-b", "")}
