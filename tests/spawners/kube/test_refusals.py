"""What a person is told of a refusal: as a real API server refused."""

import pytest

from kworkspace.spawners.kube.refusals import refusal
from tests.spawners.kube.recordings import recording, refusals


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (
            "403 quota exceeded, pods",
            (
                "a quota of the cluster is used up: q, requested: pods=1, used: pods=1, limited:"
                " pods=1"
            ),
        ),
        (
            "403 quota exceeded, storage",
            (
                "a quota of the cluster is used up: q, requested: requests.storage=10Gi, used:"
                " requests.storage=0, limited: requests.storage=1Gi"
            ),
        ),
        ("403 namespace terminating", "the namespace rec-term is being deleted"),
        (
            "400 unknown field, strict",
            (
                'the cluster refuses it: Pod in version "v1" cannot be handled as a Pod: strict'
                ' decoding error: unknown field "spec.nosuch"'
            ),
        ),
    ],
)
def test_recorded(case: str, expected: str) -> None:
    assert refusal(refusals()[case]["body"]["message"]) == expected


def test_recorded_pod_security() -> None:
    said = refusal(refusals()["403 PodSecurity restricted"]["body"]["message"])
    assert said.startswith('the cluster refuses it: violates PodSecurity "restricted:latest": ')
    assert said.endswith('to "RuntimeDefault" or "Localhost")')


def test_recorded_invalid_objects() -> None:
    said = refusal(refusals()["422 invalid name"]["body"]["message"])
    assert said.startswith('the cluster refuses the Pod: metadata.name: Invalid value: "Alice_B"')
    said = refusal(recording("claim-pending-then-bound")["shrink"]["response"]["body"]["message"])
    assert said == (
        "the cluster refuses the PersistentVolumeClaim: spec: Forbidden: spec is immutable after"
        " creation except resources.requests and volumeAttributesClassName for bound claims"
    )


def test_a_quota_that_wants_limits() -> None:
    message = 'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: workspace'
    assert refusal(message) == (
        "a quota of the cluster asks for more than is configured: q: must specify limits.cpu for:"
        " workspace"
    )


def test_every_recorded_refusal_is_one_line() -> None:
    for case in refusals().values():
        if isinstance(case["body"], dict):
            assert "\n" not in refusal(case["body"]["message"])
