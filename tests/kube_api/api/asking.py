"""One request as the API understands it: what it wants of which resource, and who asks."""

from dataclasses import dataclass, field

from tests.kube_api.api.statuses import bad_request, no_such_path
from tests.kube_api.kinds import BY_PATH, GROUPS, Resource
from tests.kube_api.objects import Object


@dataclass(frozen=True)
class Ask:
    """A request for a resource.

    Attributes:
        verb: as RBAC knows it: get, list, watch, create, update, patch, delete, deletecollection.
        name: "" where the path names a collection.
        query: the query's parameters.
    """

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: dict[str, str] = field(default_factory=dict)
    user: str = ""
    manager: str = "unknown"

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is to be stored."""
        return bool(self.query.get("dryRun"))

    def flag(self, name: str) -> bool:
        """Whether a parameter is set to a true value."""
        return self.query.get(name, "").lower() in {"1", "true"}

    def number(self, name: str) -> int:
        """Return a parameter as a number, 0 if it is not there.

        Raises:
            Refusal: 400, it is none.
        """
        text = self.query.get(name, "")
        try:
            return int(text or 0)
        except ValueError:
            why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
            raise bad_request(f"unable to decode query parameter {name}: {why}") from None

    @property
    def rbac_resource(self) -> str:
        """The resource as a rule names it: pods, pods/exec."""
        return self.resource.plural + (f"/{self.subresource}" if self.subresource else "")


@dataclass(frozen=True)
class Target:
    """What a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def parse_path(path: str) -> Target:
    """Return what a path of the API names.

    Raises:
        Refusal: 404, no API serves it.
    """
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    if GROUPS.get(group) != version:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, rest[2]) in BY_PATH:
        namespace, rest = rest[1], rest[2:]
    resource = BY_PATH.get((group, rest[0]))
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    return Target(resource, namespace, name, subresource)


def verb_of(method: str, target: Target, query: dict[str, str]) -> str:
    """Return RBAC's verb for a method; "" where the resource does not allow it."""
    if method in {"GET", "HEAD"}:
        if target.name:
            return "get"
        return "watch" if query.get("watch", "").lower() in {"1", "true"} else "list"
    named = bool(target.name)
    if method == "POST":
        creates = {"exec", "eviction", "binding", "token"}
        return "create" if not named or target.subresource in creates else ""
    if method == "DELETE":
        return "delete" if named else "deletecollection"
    return {"PUT": "update", "PATCH": "patch"}.get(method, "") if named else ""


def options_of(body: Object | None, query: dict[str, str]) -> Object:
    """Return the DeleteOptions of body and query together."""
    options = dict(body or {})
    if "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    return options
