"""The errors over the wire: status and message come back as the class that was raised."""

import pytest

from kworkspace.cli.client import errors
from kworkspace.cli.client.errors import KworkspaceError, TooMany, from_status

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, KworkspaceError)
]
WIRE = [
    errors.BadRequest,
    errors.Unauthorized,
    errors.Forbidden,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.Conflict,
    errors.TooLarge,
    errors.TooMany,
    errors.Unavailable,
]


@pytest.mark.parametrize("kind", WIRE)
def test_a_status_comes_back_as_its_class(kind: type[KworkspaceError]) -> None:
    error = from_status(kind.status, "no")
    assert type(error) is kind
    assert error.message == str(error) == "no"


def test_other_statuses() -> None:
    assert type(from_status(418, "no")) is errors.BadRequest
    assert type(from_status(500, "no")) is KworkspaceError
    assert type(from_status(504, "no")) is KworkspaceError


def test_retry_after_is_kept() -> None:
    error = from_status(429, "slowly", 7)
    assert isinstance(error, TooMany)
    assert error.retry_after == 7


def test_codes_are_unique_words() -> None:
    codes = [kind.code for kind in ALL]
    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and " " not in code for code in codes)
