"""What a real API server answered, as errors of ours."""

from typing import Any

import pytest

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.kube import errors
from kworkspace.spawners.kube.errors import Call, refused
from kworkspace.spawners.kube.kinds import Kind
from tests.spawners.kube.recordings import recording

CASES: dict[str, Any] = recording("errors")["cases"]
CALL = Call("create", Kind.POD, "rec-errors", "alice")


def _error(case: str, call: Call = CALL) -> errors.ApiError:
    response = CASES[case]["response"]
    return refused(call, response["status"], response["body"], server="https://cluster.test")


@pytest.mark.parametrize(
    ("case", "kind", "reason"),
    [
        ("404 not found", errors.NotFoundInCluster, "NotFound"),
        ("409 already exists", errors.AlreadyExists, "AlreadyExists"),
        ("409 resourceVersion conflict", errors.ConflictInCluster, "Conflict"),
        ("422 invalid name", errors.Invalid, "Invalid"),
        ("422 immutable field", errors.Invalid, "Invalid"),
        ("400 unknown field, strict", errors.Invalid, "BadRequest"),
        ("401 bad token", errors.Unauthorized, "Unauthorized"),
        ("404 no metrics API", errors.NotFoundInCluster, ""),
    ],
)
def test_each_refusal_has_its_class(case: str, kind: type[errors.ApiError], reason: str) -> None:
    error = _error(case)
    assert type(error) is kind
    assert isinstance(error, KworkspaceError)
    assert error.reason == reason
    assert error.http_status == CASES[case]["response"]["status"]
    assert "\n" not in error.message
    assert error.server_message


def test_what_a_server_said_is_kept() -> None:
    error = _error("422 invalid name")
    assert error.details["causes"][0]["field"] == "metadata.name"
    assert error.server_message == CASES["422 invalid name"]["response"]["body"]["message"]


def test_the_difference_of_manifests_is_not_in_the_message() -> None:
    assert "@@" not in _error("422 immutable field").message


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("403")])
def test_a_right_is_missing_only_where_rbac_says_so(case: str) -> None:
    error = _error(case)
    assert isinstance(error, errors.Forbidden)
    assert error.by_rights == (case == "403 forbidden by RBAC")
    assert error.server_message in error.message


def test_a_missing_right_is_named() -> None:
    error = _error("403 forbidden by RBAC", Call("list", Kind.JOB, "rec-errors"))
    assert error.message.startswith(
        "The cluster does not allow the hub to list jobs.batch in namespace rec-errors: give it"
        " that right (kworkspace-hub check lists all): pods is forbidden"
    )


def test_a_watch_hears_that_its_version_is_too_old() -> None:
    [event, _end] = CASES["watch from a version too old"]
    status = event["event"]["object"]
    error = refused(CALL, status["code"], status)
    assert type(error) is errors.Expired


@pytest.mark.parametrize("answer", [None, [], "", "<html>", {"message": 1, "details": "x"}])
def test_an_answer_that_is_no_status(answer: object) -> None:
    error = refused(CALL, 502, answer)
    assert type(error) is errors.ApiError
    assert error.http_status == 502
    assert error.details == {}


def test_throttling_says_how_long() -> None:
    error = refused(CALL, 429, {"message": "slow down"}, server="https://x", retry_after=7)
    assert isinstance(error, errors.Throttled)
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (Call("get", Kind.POD, "a", "b", "log"), "get pods/log b in namespace a"),
        (Call("list", Kind.POD, None), "list pods in all namespaces"),
        (Call("get", Kind.NAMESPACE, None, "a"), "get namespaces a of the cluster"),
        (Call("list", Kind.POD_METRICS, "a"), "list pods.metrics.k8s.io in namespace a"),
        (Call("get", Kind.POD, None, text="say its version"), "say its version"),
    ],
)
def test_calls_in_words(call: Call, text: str) -> None:
    assert str(call) == text
