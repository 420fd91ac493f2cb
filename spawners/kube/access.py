"""The rights that the hub needs in a cluster: one table, which the chart's Role is made from too.

`check` asks the cluster about each by a SelfSubjectAccessReview, which everybody may make of
themselves. What the table does not have, the hub does not do: it cannot read Secrets, for one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kworkspace.spawners.base import Check
from kworkspace.spawners.kube.client import KubeClient, Object
from kworkspace.spawners.kube.kinds import Kind


class AccessOptions(Protocol):
    """What is configured and decides which rights are needed; `KubeSpawner` has these options."""

    @property
    def namespace(self) -> str:
        """Where workspaces live."""

    @property
    def enable_user_namespaces(self) -> bool:
        """Whether each user has a namespace of their own."""


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource.

    Attributes:
        kind: of the objects.
        verbs: as RBAC names them.
        purpose: what cannot be done without it.
        subresource: as "exec".
        required: whether the hub cannot do without it.
        everywhere: whether it must hold in the whole cluster.
        needed: whether what is configured needs it.
    """

    kind: Kind
    verbs: tuple[str, ...]
    purpose: str
    subresource: str = ""
    required: bool = True
    everywhere: bool = False
    needed: Callable[[AccessOptions], bool] = lambda _options: True

    @property
    def resource(self) -> str:
        """As a Role's rule names it: pods/exec."""
        plural = self.kind.value.plural
        return f"{plural}/{self.subresource}" if self.subresource else plural


RIGHTS: tuple[Right, ...] = (
    Right(
        Kind.POD,
        ("get", "list", "watch", "create", "patch", "delete"),
        "workspaces are pods",
    ),
    # A WebSocket is opened by GET; Kubernetes asks for `create` as well since 1.35.
    Right(Kind.POD, ("create", "get"), "signals of running workspaces", subresource="exec"),
    Right(Kind.POD, ("get",), "why a workspace or a task ended", subresource="log"),
    Right(Kind.EVENT, ("list", "watch"), "what a starting workspace waits for"),
    Right(
        Kind.CLAIM,
        ("get", "list", "watch", "create", "patch", "delete"),
        "homes are volume claims",
    ),
    Right(Kind.SECRET, ("create", "patch", "delete"), "keys of workspaces"),
    Right(Kind.SERVICE, ("get", "create", "patch", "delete"), "names for direct SSH"),
    Right(
        Kind.JOB,
        ("get", "create", "delete"),
        "backups and other work beside a home",
    ),
    Right(
        Kind.POD_METRICS,
        ("list",),
        "CPU in one call; without it each workspace is asked",
        required=False,
    ),
    Right(
        Kind.NAMESPACE,
        ("get", "create"),
        "c.KubeSpawner.enable_user_namespaces",
        everywhere=True,
        needed=lambda options: options.enable_user_namespaces,
    ),
)


def rules(rights: Iterable[Right] = RIGHTS) -> list[Object]:
    """Return the rules of a Role that gives rights, one for each resource."""
    return [
        {
            "apiGroups": [right.kind.value.group],
            "resources": [right.resource],
            "verbs": list(right.verbs),
        }
        for right in rights
    ]


async def check(client: KubeClient, options: AccessOptions) -> Sequence[Check]:
    """Ask the cluster which of the rights the hub has.

    Raises:
        ApiError: it cannot be asked.
    """
    asked = [(right, verb) for right in RIGHTS if right.needed(options) for verb in right.verbs]
    return await asyncio.gather(*(_review(client, options, *each) for each in asked))


async def _review(client: KubeClient, options: AccessOptions, right: Right, verb: str) -> Check:
    everywhere = right.everywhere or options.enable_user_namespaces
    attributes = {
        "verb": verb,
        "group": right.kind.value.group,
        "resource": right.kind.value.plural,
    }
    if right.subresource:
        attributes["subresource"] = right.subresource
    if not everywhere:
        attributes["namespace"] = options.namespace
    review = Kind.ACCESS_REVIEW.value
    answer = await client.create(
        Kind.ACCESS_REVIEW,
        None,
        {
            "apiVersion": review.api_version,
            "kind": review.name,
            "spec": {"resourceAttributes": attributes},
        },
        repeatable=True,
    )
    group = f".{right.kind.value.group}" if right.kind.value.group else ""
    plural, slash, part = right.resource.partition("/")
    status = answer.get("status") or {}
    return Check(
        what=f"{verb} {plural}{group}{slash}{part}",
        where="all namespaces" if everywhere else f"namespace {options.namespace}",
        ok=bool(status.get("allowed")),
        detail=right.purpose,
        required=right.required,
    )
