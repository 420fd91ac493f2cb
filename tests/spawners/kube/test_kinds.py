"""Paths as the API spells them."""

import pytest

from kworkspace.spawners.kube.kinds import Kind


@pytest.mark.parametrize(
    ("kind", "arguments", "path"),
    [
        (Kind.POD, ("a",), "/api/v1/namespaces/a/pods"),
        (Kind.POD, (None,), "/api/v1/pods"),
        (Kind.POD, ("a", "b", "log"), "/api/v1/namespaces/a/pods/b/log"),
        (Kind.JOB, ("a", "b"), "/apis/batch/v1/namespaces/a/jobs/b"),
        (Kind.NAMESPACE, (None, "a"), "/api/v1/namespaces/a"),
        (Kind.POD_METRICS, ("a",), "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods"),
        (Kind.POD, ("a/b", "../x"), "/api/v1/namespaces/a%2Fb/pods/..%2Fx"),
        (
            Kind.ACCESS_REVIEW,
            (None,),
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        ),
    ],
)
def test_paths(kind: Kind, arguments: tuple[str, ...], path: str) -> None:
    assert kind.path(*arguments) == path


def test_api_versions() -> None:
    assert Kind.POD.value.api_version == "v1"
    assert Kind.JOB.value.api_version == "batch/v1"
