"""Refusals as the API server words them: Status objects, one function per case.

Raised anywhere below the HTTP layer, which alone renders them.
"""

from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object


class Refusal(Exception):
    """An answer that is no success.

    Attributes:
        code: the HTTP status.
        plain: the body, where it is text and no Status object.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        *,
        plain: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.plain = plain
        self.retry_after = retry_after

    def body(self) -> Object:
        """Return the Status object."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.retry_after is not None:
            status["details"] = {**(self.details or {}), "retryAfterSeconds": self.retry_after}
        elif self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}


def success(code: int | None = None, details: Object | None = None) -> Object:
    """Return the Status object of something done."""
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details is not None:
        status["details"] = details
    return status if code is None else status | {"code": code}


def details(resource: Resource, name: str = "", **more: object) -> Object:
    """Return a Status object's details."""
    found: Object = {"name": name} if name else {}
    if resource.group:
        found["group"] = resource.group
    return found | {"kind": resource.plural} | more


def cause(reason: str, message: str, field: str) -> Object:
    """Return one entry of details.causes."""
    return {"reason": reason, "message": message, "field": field}


def bad_request(message: str) -> Refusal:
    """400."""
    return Refusal(400, "BadRequest", message)


def unauthorized() -> Refusal:
    """401."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, why: str, **more: object) -> Refusal:
    """403 by RBAC or admission."""
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    message = f"{subject} is forbidden: {why}"
    return Refusal(403, "Forbidden", message, details(resource, name, **more))


def no_such_path() -> Refusal:
    """404 for a path that no API serves: plain text."""
    return Refusal(404, "", "404 page not found", plain="404 page not found\n")


def not_found(resource: Resource, name: str) -> Refusal:
    """404 for an object."""
    message = f'{resource.qualified} "{name}" not found'
    return Refusal(404, "NotFound", message, details(resource, name))


def method_not_allowed() -> Refusal:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, {})


def already_exists(resource: Resource, name: str) -> Refusal:
    """409 on create."""
    message = f'{resource.qualified} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, details(resource, name))


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def conflict(resource: Resource, name: str, why: str = MODIFIED, *, kind: str = "") -> Refusal:
    """409 on update or delete; some messages name the kind instead of the resource."""
    word = kind or resource.qualified
    found = details(resource, name) | ({"kind": kind} if kind else {})
    message = f'Operation cannot be fulfilled on {word} "{name}": {why}'
    return Refusal(409, "Conflict", message, found)


def expired(message: str) -> Refusal:
    """410: a version or a token from a past that is compacted away."""
    return Refusal(410, "Expired", message)


def unsupported_media(accepted: str) -> Refusal:
    """415."""
    message = (
        "the body of the request was in an unknown format - accepted media types include:"
        f" {accepted}"
    )
    return Refusal(415, "UnsupportedMediaType", message, {})


def invalid(resource: Resource, name: str, causes: list[Object]) -> Refusal:
    """422, by its causes."""
    lines = [f"{entry['field']}: {entry['message']}" for entry in causes]
    text = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    message = f'{resource.kind} "{name}" is invalid: {text}'
    found: Object = {"name": name}
    if resource.group:
        found["group"] = resource.group
    found |= {"kind": resource.kind, "causes": causes}
    return Refusal(422, "Invalid", message, found)


def internal(message: str) -> Refusal:
    """500."""
    text = f"Internal error occurred: {message}"
    return Refusal(500, "InternalError", text, {"causes": [{"message": message}]})


def any_status(code: int, *, retry_after: int | None = None) -> Refusal:
    """The server's usual words for a status that a test asked for."""
    reason, message = _USUAL.get(code, ("", f"an error on the server (status {code})"))
    if code == 429 and retry_after is None:
        retry_after = 1
    return Refusal(code, reason, message, retry_after=retry_after)


_USUAL = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden: refused for a test"),
    404: ("NotFound", "the server could not find the requested resource"),
    409: ("Conflict", "the server reported a conflict"),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: leader changed"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}
