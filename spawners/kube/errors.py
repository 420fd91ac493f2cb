"""What can come of a call to the cluster, as errors of ours: one line for people each.

Raised by the client alone, with the library's exception as the cause; the library's own never leave
the client. `status` and `code` are what a user of the hub sees of it; what the API server
said is in `http_status`, `reason` and `server_message`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.kube.kinds import Kind

_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """A call, as an admin would name it.

    Attributes:
        verb: as RBAC names it: get, list, watch, create, patch, delete.
        kind: of the object.
        namespace: None for all.
        name: of the object, "" where it has none yet, or is meant with others.
        subresource: as "exec".
        text: what it is, where it is about no object.
    """

    verb: str
    kind: Kind
    namespace: str | None
    name: str = ""
    subresource: str = ""
    text: str = ""

    @property
    def resource(self) -> str:
        """As RBAC writes it: pods/exec, jobs.batch."""
        resource = self.kind.value
        group = f".{resource.group}" if resource.group else ""
        part = f"/{self.subresource}" if self.subresource else ""
        return f"{resource.plural}{group}{part}"

    @property
    def where(self) -> str:
        """The namespace, in words."""
        if self.namespace is not None:
            return f"in namespace {self.namespace}"
        return "in all namespaces" if self.kind.value.namespaced else "of the cluster"

    def __str__(self) -> str:
        if self.text:
            return self.text
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{name} {self.where}"


class ApiError(KworkspaceError):
    """The API server refused a call, or could not be asked.

    Args:
        message: one line for people.
        http_status: of the answer, 0 if there was none.
        reason: the Status's word for programs, as "AlreadyExists".
        server_message: the Status's text.
        details: the Status's details.
    """

    status: ClassVar[int] = 503
    code: ClassVar[str] = "cluster"

    def __init__(
        self,
        message: str,
        *,
        http_status: int = 0,
        reason: str = "",
        server_message: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.reason = reason
        self.server_message = server_message
        self.details: Mapping[str, Any] = details or {}


class ClusterUnreachable(ApiError):
    """There was no answer: no connection, no trust, or no time left."""

    code = "cluster-unreachable"


class Unauthorized(ApiError):
    """401: the hub's credentials are wrong or have expired."""

    code = "cluster-unauthorized"


class Forbidden(ApiError):
    """403: by RBAC, a quota, PodSecurity, or a namespace that is being deleted.

    Args:
        by_rights: whether RBAC refused, so that an admin has to give the hub a right.
    """

    code = "cluster-forbidden"

    def __init__(self, message: str, *, by_rights: bool = False, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.by_rights = by_rights


class NotFoundInCluster(ApiError):
    """404: there is no such object, or no such API."""

    code = "cluster-not-found"


class ConflictInCluster(ApiError):
    """409: the object is not in the state that the call supposes."""

    code = "cluster-conflict"


class AlreadyExists(ConflictInCluster):
    """409 of a create: there is one of that name."""

    code = "cluster-already-exists"


class Expired(ApiError):
    """410: the version that was asked for is too old to be known."""

    code = "cluster-expired"


class Invalid(ApiError):
    """422 or 400: the object is not allowed to be as it is."""

    code = "cluster-invalid"


class Throttled(ApiError):
    """429, again and again.

    Args:
        retry_after: seconds after which the server wants to be asked again.
    """

    code = "cluster-throttled"

    def __init__(self, message: str, *, retry_after: float = 1.0, **answer: Any) -> None:
        super().__init__(message, **answer)
        self.retry_after = retry_after


class ExecFailed(ApiError):
    """A program in a container could not be started, or its end not be awaited.

    Args:
        stdout: what it had printed by then.
        stderr: the same.
    """

    code = "cluster-exec"

    def __init__(
        self, message: str, *, stdout: bytes = b"", stderr: bytes = b"", **answer: Any
    ) -> None:
        super().__init__(message, **answer)
        self.stdout = stdout
        self.stderr = stderr


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFoundInCluster,
    409: ConflictInCluster,
    410: Expired,
    422: Invalid,
    429: Throttled,
}


def refused(
    call: Call,
    status: int,
    answer: object,
    *,
    server: str = "",
    retry_after: float = 1.0,
) -> ApiError:
    """Make an error of what the API server answered.

    Args:
        call: what was asked.
        status: the HTTP status, 400 to 599, or a Status object's code.
        answer: the decoded Status, or the text of an answer that is none.
        server: the URL, for the message.
        retry_after: seconds, of the header.
    """
    told = answer if isinstance(answer, dict) else {}
    text = str(told.get("message") or (answer if isinstance(answer, str) else "")).strip()
    reason = str(told.get("reason") or "")
    details = told.get("details")
    known: dict[str, Any] = {
        "http_status": status,
        "reason": reason,
        "server_message": text,
        "details": details if isinstance(details, dict) else {},
    }
    said = f": {_short(text)}" if text else f": HTTP status {status}"
    if status == 401:
        return Unauthorized(
            f"The API server {server} does not accept the hub's credentials (asked to {call}): they"
            " are wrong or have expired",
            **known,
        )
    if status == 403:
        return _forbidden(call, text, said, known)
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists(f"The cluster has one already{said}", **known)
    if status == 429:
        return Throttled(
            f"The API server {server} has too much to do (asked to {call}){said}",
            retry_after=retry_after,
            **known,
        )
    if status >= 500:
        return ApiError(f"The API server {server} failed (asked to {call}){said}", **known)
    kind = _BY_STATUS.get(status, ApiError)
    return kind(f"The cluster does not {call}{said}", **known)


def _forbidden(call: Call, text: str, said: str, known: dict[str, Any]) -> Forbidden:
    # The words of RBAC's refusal; a quota's and PodSecurity's have none of them. What stops a
    # WebSocket says nothing at all, and only RBAC does that.
    if not text or " cannot " in text:
        return Forbidden(
            f"The cluster does not allow the hub to {call}: give it that right (kworkspace-hub"
            f" check lists all){said}",
            by_rights=True,
            **known,
        )
    return Forbidden(f"The cluster does not {call}{said}", **known)


def _short(text: str) -> str:
    line = " ".join(text.split("\n@@ ", 1)[0].split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
