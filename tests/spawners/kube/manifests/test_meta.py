"""Labels and annotations: what objects are found by, and what an admin adds."""

from dataclasses import replace
from typing import Any

import pytest

from kworkspace.spawners.kube.manifests.meta import (
    expanded_labels,
    hub_labels,
    metadata,
    own_annotations,
    own_labels,
)
from kworkspace.spawners.kube.names import names
from kworkspace.spawners.kube.templates import is_label_value
from tests.kube_api.objects import Object
from tests.spawners.kube.made import ALICE, configured

STRANGE = replace(ALICE, user="Ümit Öz <" + "x" * 100 + ">", slug="u---1234")


def meta(options: dict[str, Any], **given: Any) -> Object:
    spawner = configured(**options)
    return metadata(spawner, ALICE, names(spawner, ALICE), "thing", **given)


def test_as_it_is_by_default() -> None:
    assert meta({}) == {
        "name": "thing",
        "namespace": "workspaces",
        "labels": {
            "app.kubernetes.io/name": "kworkspace",
            "app.kubernetes.io/managed-by": "kworkspace",
            "app.kubernetes.io/component": "workspace",
            "kworkspace.io/hub": "hub",
            "kworkspace.io/server": ALICE.id,
            "kworkspace.io/user": "alice",
        },
        "annotations": {
            "kworkspace.io/user-name": "alice",
            "kworkspace.io/server-name": "",
            "kworkspace.io/slug": "alice",
        },
    }


def test_what_an_admin_adds() -> None:
    made = meta(
        {"common_labels": {"team": "blue", "tier": "one"}},
        labels={"tier": "{username}"},
        annotations={"mail": "{unescaped_username}@example.org"},
    )
    assert (made["labels"]["team"], made["labels"]["tier"]) == ("blue", "alice")
    assert made["annotations"]["mail"] == "alice@example.org"


def test_what_objects_are_found_by_counts_most() -> None:
    own = {"kworkspace.io/server": "forged", "kworkspace.io/user-name": "forged"}
    made = meta({}, labels=own, annotations=own)
    assert made["labels"]["kworkspace.io/server"] == ALICE.id
    assert made["annotations"]["kworkspace.io/user-name"] == "alice"


def test_any_user_name_makes_a_label() -> None:
    labels = own_labels("hub", STRANGE)
    assert all(is_label_value(text) for text in labels.values())
    assert (
        labels["kworkspace.io/user"]
        != own_labels("hub", replace(STRANGE, user="Ümit"))["kworkspace.io/user"]
    )
    assert own_annotations(STRANGE)["kworkspace.io/user-name"] == STRANGE.user


def test_a_hubs_labels_are_part_of_a_workspaces() -> None:
    assert hub_labels("hub").items() <= own_labels("hub", ALICE).items()
    assert hub_labels("one") != hub_labels("two")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"username": "alice"}, "for-alice"),
        ({"username": "Ü"}, "for"),
        ({}, "for-{username}"),  # a text, not a template
    ],
)
def test_values_are_ones_that_kubernetes_allows(values: dict[str, str], expected: str) -> None:
    [text] = expanded_labels({"key": "for-{username}"}, values).values()
    assert text.startswith(expected)
    assert not values or is_label_value(text)
