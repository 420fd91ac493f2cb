"""What is POSTed behind an object's name: eviction, binding, tokens of service accounts."""

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.deletion import delete
from tests.kube_api.api.rbac import Users
from tests.kube_api.api.selectors import matches_selector
from tests.kube_api.api.statuses import Refusal, bad_request, conflict, not_found, success
from tests.kube_api.objects import Object, clone, dig, is_finished, now
from tests.kube_api.store import Store


class Subresources:
    """The subresources that are created."""

    def __init__(self, store: Store, users: Users) -> None:
        self._store = store
        self._users = users

    def create(self, ask: Ask, body: Object) -> Object:
        """Carry one out and return the answer's body.

        Raises:
            Refusal: 404, 409 or 429.
        """
        found = self._store.get(ask.resource, ask.namespace, ask.name)
        if found is None:
            raise not_found(ask.resource, ask.name)
        match ask.subresource:
            case "eviction":
                return self._evict(ask, found, body)
            case "binding":
                return self._bind(ask, found, body)
            case "token":
                return self._token(ask, body)
            case _:
                raise bad_request(f"{ask.subresource} cannot be created")

    def _evict(self, ask: Ask, pod: Object, body: Object) -> Object:
        options = body.get("deleteOptions") or {}
        if not is_finished(pod) and not dig(pod, "metadata", "deletionTimestamp"):
            self._check_budgets(pod)
            if ask.is_dry_run:
                return success(201)
            pod = clone(pod)
            conditions = pod.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [one for one in conditions if one["type"] != "DisruptionTarget"]
            conditions.append(
                {
                    "type": "DisruptionTarget",
                    "observedGeneration": dig(pod, "metadata", "generation", default=1),
                    "status": "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": now(),
                    "reason": "EvictionByEvictionAPI",
                    "message": "Eviction API: evicting",
                }
            )
            pod = self._store.put(ask.resource, pod)
        delete(self._store, ask.resource, pod, options, dry_run=ask.is_dry_run)
        return success(201)

    def _check_budgets(self, pod: Object) -> None:
        for budget in self._store.values("poddisruptionbudgets", pod["metadata"]["namespace"]):
            selector = dig(budget, "spec", "selector", default={})
            if not matches_selector(selector, pod):
                continue
            if dig(budget, "status", "disruptionsAllowed", default=0) > 0:
                continue
            name = budget["metadata"]["name"]
            message = f"The disruption budget {name} needs {_needed(budget)} healthy pods"
            causes = [{"reason": "DisruptionBudget", "message": message}]
            raise Refusal(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                {"causes": causes},
            )

    def _bind(self, ask: Ask, pod: Object, body: Object) -> Object:
        if pod["spec"].get("nodeName"):
            why = f'pod {ask.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise conflict(ask.resource, ask.name, why)
        pod = clone(pod)
        pod["spec"]["nodeName"] = dig(body, "target", "name", default="")
        self._store.put(ask.resource, pod)
        return success(201)

    def _token(self, ask: Ask, body: Object) -> Object:
        seconds = dig(body, "spec", "expirationSeconds", default=3600)
        token = self._users.add(f"system:serviceaccount:{ask.namespace}:{ask.name}")
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": ask.name, "namespace": ask.namespace},
            "spec": body.get("spec", {}),
            "status": {"token": token, "expirationTimestamp": now(seconds)},
        }


def _needed(budget: Object) -> str:
    return str(dig(budget, "spec", "minAvailable", default=1))
