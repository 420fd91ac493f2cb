"""The claim of a home."""

from dataclasses import replace
from typing import Any

import pytest

from kworkspace.spawners.kube.manifests.claim import has_claim
from tests.spawners.kube.made import ALICE, claim_of, configured

LAB = replace(ALICE, id="other", name="lab", slug="alice--lab")


def test_as_it_is_by_default() -> None:
    claim = claim_of(configured())
    assert claim is not None
    assert claim["metadata"]["name"] == "workspace-alice"
    assert claim["metadata"]["labels"]["kworkspace.io/server"] == ALICE.id
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }


@pytest.mark.parametrize(
    ("option", "value", "spec"),
    [
        ("storage_capacity", 5 * 2**30, {"resources": {"requests": {"storage": "5368709120"}}}),
        ("storage_class", "fast", {"storageClassName": "fast"}),
        ("storage_class", "", {"storageClassName": ""}),  # not the default one
        ("storage_access_modes", ["ReadWriteOncePod"], {"accessModes": ["ReadWriteOncePod"]}),
        (
            "storage_selector",
            {"matchLabels": {"for": "{username}"}},
            {"selector": {"matchLabels": {"for": "alice"}}},
        ),
    ],
)
def test_what_is_configured(option: str, value: Any, spec: dict[str, Any]) -> None:
    claim = claim_of(configured(**{option: value}))
    assert claim is not None
    assert {key: claim["spec"][key] for key in spec} == spec


@pytest.mark.parametrize("options", [{"storage_capacity": None}, {"storage_pvc_ensure": False}])
def test_none(options: dict[str, Any]) -> None:
    spawner = configured(**options)
    assert not has_claim(spawner)
    assert claim_of(spawner) is None


def test_labels_and_annotations_are_the_claims_own() -> None:
    claim = claim_of(
        configured(
            extra_labels={"of": "pods"},
            extra_annotations={"of": "pods"},
            common_labels={"team": "blue"},
            storage_extra_labels={"owner": "{username}"},
            storage_extra_annotations={"owner": "{unescaped_username}@example.org"},
        )
    )
    assert claim is not None
    labels, annotations = claim["metadata"]["labels"], claim["metadata"]["annotations"]
    assert (labels["team"], labels["owner"]) == ("blue", "alice")
    assert annotations["owner"] == "alice@example.org"
    assert "of" not in {**labels, **annotations}


def test_one_of_all_workspaces_of_a_user_is_of_none_of_them() -> None:
    spawner = configured(pvc_name_template="home-{username}")
    claims = [claim_of(spawner, one) for one in (ALICE, LAB)]
    assert claims[0] == claims[1]
    assert claims[0] is not None
    metadata = claims[0]["metadata"]
    assert metadata["name"] == "home-alice"
    assert metadata["labels"]["kworkspace.io/user"] == "alice"
    assert metadata["labels"]["kworkspace.io/hub"] == "hub"
    assert "kworkspace.io/server" not in metadata["labels"]
    assert set(metadata["annotations"]) == {"kworkspace.io/user-name"}


def test_each_workspace_has_its_own() -> None:
    claims = [claim_of(configured(), one) for one in (ALICE, LAB)]
    names = [claim["metadata"]["name"] for claim in claims if claim is not None]
    assert names == ["workspace-alice", "workspace-alice--lab"]
