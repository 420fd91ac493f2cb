"""Who asks, and what they may: tokens, rules, and the reviews of one's own rights.

Rules come from two places: what a test grants to a user directly, and the Role and RoleBinding
objects in the cluster (a chart's, say).
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.statuses import Refusal, forbidden, unauthorized
from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store

Rule = Object
"""A rule of a Role: apiGroups, resources, verbs, resourceNames."""

ADMIN = "kubernetes-admin"
_ACCOUNT = "system:serviceaccount:"


@dataclass
class Users:
    """All who have a token.

    Attributes:
        grants: by user, pairs of a namespace ("" for all and for the cluster) and rules.
    """

    store: Store
    tokens: dict[str, str] = field(default_factory=dict)
    grants: dict[str, list[tuple[str, list[Rule]]]] = field(default_factory=dict)

    def add(self, name: str) -> str:
        """Return a new token of a user."""
        token = secrets.token_urlsafe(24)
        self.tokens[token] = name
        return token

    def of_header(self, header: str) -> str:
        """Return the user of an Authorization header.

        Raises:
            Refusal: 401.
        """
        scheme, _, token = header.partition(" ")
        user = self.tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user

    def rules(self, user: str, namespace: str) -> Iterator[Rule]:
        """Yield the rules that hold for a user in a namespace."""
        for place, rules in self.grants.get(user, []):
            if place in {"", namespace}:
                yield from rules
        for binding in self.store.values("clusterrolebindings"):
            if _binds(binding, user):
                yield from self._role_rules(binding, "")
        if namespace:
            for binding in self.store.values("rolebindings", namespace):
                if _binds(binding, user):
                    yield from self._role_rules(binding, namespace)

    def _role_rules(self, binding: Object, namespace: str) -> Iterable[Rule]:
        reference = binding["roleRef"]
        is_cluster = reference["kind"] == "ClusterRole"
        plural = "clusterroles" if is_cluster else "roles"
        role = self.store.get(plural, "" if is_cluster else namespace, reference["name"])
        found: list[Rule] = dig(role, "rules", default=[])
        return found

    def may(
        self, user: str, verb: str, group: str, resource: str, *, namespace: str, name: str = ""
    ) -> bool:
        """Whether a user has a right; `resource` is pods, or pods/exec."""
        if user == ADMIN:
            return True
        return any(
            _allows(rule, verb, group, resource, name) for rule in self.rules(user, namespace)
        )

    def check(self, ask: Ask, verb: str = "") -> None:
        """See that a request may be made.

        Raises:
            Refusal: 403, in the words of a real server.
        """
        verb = verb or ask.verb
        resource = ask.resource
        word, place, name = ask.rbac_resource, ask.namespace, ask.name
        if self.may(ask.user, verb, resource.group, word, namespace=place, name=name):
            return
        where = f'in the namespace "{ask.namespace}"' if ask.namespace else "at the cluster scope"
        raise forbidden(
            resource,
            ask.name,
            f'User "{ask.user}" cannot {verb} resource "{ask.rbac_resource}" in API group'
            f' "{resource.group}" {where}',
        )

    def access_review(self, user: str, body: Object) -> Object:
        """Answer a SelfSubjectAccessReview."""
        wanted = dig(body, "spec", "resourceAttributes", default={})
        resource = wanted.get("resource", "")
        if wanted.get("subresource"):
            resource += f"/{wanted['subresource']}"
        allowed = self.may(
            user,
            wanted.get("verb", ""),
            wanted.get("group", ""),
            resource,
            namespace=wanted.get("namespace", ""),
            name=wanted.get("name", ""),
        )
        status: Object = {"allowed": allowed}
        if allowed:
            status["reason"] = f'RBAC: allowed to "{user}"'
        return _review("SelfSubjectAccessReview", body, status)

    def rules_review(self, user: str, body: Object) -> Object:
        """Answer a SelfSubjectRulesReview.

        Raises:
            Refusal: 400, it names no namespace.
        """
        namespace = dig(body, "spec", "namespace", default="")
        if not namespace:
            raise Refusal(400, "BadRequest", "no namespace on request")
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        rules = [everything] if user == ADMIN else list(self.rules(user, namespace))
        status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
        return _review("SelfSubjectRulesReview", body, status)


def _review(kind: str, body: Object, status: Object) -> Object:
    return {
        "kind": kind,
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": body.get("spec", {}),
        "status": status,
    }


def _binds(binding: Object, user: str) -> bool:
    for subject in binding.get("subjects") or []:
        if subject["kind"] == "ServiceAccount":
            place = subject.get("namespace") or binding["metadata"].get("namespace", "")
            if user == f"{_ACCOUNT}{place}:{subject['name']}":
                return True
            continue
        if subject["kind"] == "User" and subject["name"] == user:
            return True
    return False


def _allows(rule: Rule, verb: str, group: str, resource: str, name: str) -> bool:
    verbs, groups = rule.get("verbs") or [], rule.get("apiGroups") or []
    if not {verb, "*"} & set(verbs) or not {group, "*"} & set(groups):
        return False
    words = {resource, "*"}
    if "/" in resource:
        words.add(f"*/{resource.partition('/')[2]}")
    if not words & set(rule.get("resources") or []):
        return False
    names = rule.get("resourceNames") or []
    return not names or name in names
