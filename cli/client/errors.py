"""Every error that a person can cause, once: status, code, and one line that says what to do.

The hub renders them as JSON and as a page, the command as its exit text, the gateway as what a
terminal shows. A class has `status` (the HTTP status) and `code` (a stable word for programs and
for the audit log); an instance has a message for people. Details for admins go to the log.
"""

from typing import ClassVar


class KworkspaceError(Exception):
    """The base: something failed that the hub did not expect.

    Args:
        message: one line for people: what was wrong, and what to do.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(KworkspaceError):
    """The request cannot be understood; the message names the field."""

    status = 400
    code = "bad-request"


class InvalidName(BadRequest):
    """A user, workspace or login name that the grammar does not allow (see `names`)."""

    code = "invalid-name"


class Unauthorized(KworkspaceError):
    """No token, or one that is unknown or has expired."""

    status = 401
    code = "unauthorized"


class Forbidden(KworkspaceError):
    """Known, but not allowed; or a proof that does not prove anything."""

    status = 403
    code = "forbidden"


class NotFound(KworkspaceError):
    """It does not exist, or the caller may not know whether it does."""

    status = 404
    code = "not-found"


class MethodNotAllowed(KworkspaceError):
    """The resource exists and has no such method."""

    status = 405
    code = "method-not-allowed"


class Conflict(KworkspaceError):
    """Not possible in the state that the resource is in."""

    status = 409
    code = "conflict"


class TooLarge(KworkspaceError):
    """The request's body is larger than any that the hub reads."""

    status = 413
    code = "too-large"


class TooMany(KworkspaceError):
    """A limit is reached.

    Args:
        message: which limit, and what to do.
        retry_after: seconds after which a retry makes sense.
    """

    status = 429
    code = "too-many"

    def __init__(self, message: str, retry_after: int = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(KworkspaceError):
    """The hub is not ready, or cannot write (a full disk): try again later."""

    status = 503
    code = "unavailable"


class StartFailed(KworkspaceError):
    """A workspace did not start; the message is the spawner's reason."""

    status = 500
    code = "start-failed"


class HubUnreachable(KworkspaceError):
    """No answer from the hub: the client's side of `Unavailable`."""

    status = 503
    code = "hub-unreachable"


_BY_STATUS: dict[int, type[KworkspaceError]] = {
    error.status: error
    for error in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooLarge,
        TooMany,
        Unavailable,
    )
}


def from_status(status: int, message: str, retry_after: int | None = None) -> KworkspaceError:
    """Make of an HTTP answer the error that the hub raised.

    Args:
        status: the HTTP status, 400 to 599.
        message: the `message` of the body.
        retry_after: seconds, from the Retry-After header.
    """
    kind = _BY_STATUS.get(status, BadRequest if 400 <= status < 500 else KworkspaceError)
    error = kind(message)
    if isinstance(error, TooMany) and retry_after is not None:
        error.retry_after = retry_after
    return error
