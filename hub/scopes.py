"""What a caller may do: scopes, named as JupyterHub names them, and the roles that bundle them.

A scope is held for everybody or for one user (`!user=NAME`). Every handler declares the scope
that each of its methods needs; `Caller.may` answers.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Scope(StrEnum):
    """The rights. Two are ours: `keys`, and `gateway`: to open sessions for proven logins.

    `access:servers` is to enter workspaces, which for people also takes a key of theirs.
    """

    LIST_USERS = "list:users"
    READ_USERS = "read:users"
    ADMIN_USERS = "admin:users"
    READ_SERVERS = "read:servers"
    SERVERS = "servers"
    ACCESS_SERVERS = "access:servers"
    TOKENS = "tokens"
    KEYS = "keys"
    LIST_GROUPS = "list:groups"
    READ_GROUPS = "read:groups"
    GROUPS = "groups"
    ADMIN_GROUPS = "admin:groups"
    READ_METRICS = "read:metrics"
    GATEWAY = "gateway"


class Role(StrEnum):
    """The roles that exist from the start."""

    USER = "user"
    ADMIN = "admin"
    GATEWAY = "gateway"
    SERVICE = "service"


_OWN = frozenset(
    {
        Scope.READ_USERS,
        Scope.READ_SERVERS,
        Scope.SERVERS,
        Scope.ACCESS_SERVERS,
        Scope.TOKENS,
        Scope.KEYS,
    }
)

# An admin does everything but what only a gateway does, so that no person can pose as one.
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.USER: _OWN,
    Role.ADMIN: frozenset(Scope) - {Scope.GATEWAY},
    Role.GATEWAY: frozenset({Scope.GATEWAY}),
    Role.SERVICE: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        kind: a person or a service.
        name: their name.
        role: what they may do.
    """

    kind: Literal["user", "service"]
    name: str
    role: Role

    def may(self, scope: Scope, user: str | None = None) -> bool:
        """Whether the caller holds a scope.

        Args:
            scope: which.
            user: whose resource it is for; None asks for the scope over everybody.
        """
        if scope not in ROLE_SCOPES[self.role]:
            return False
        return self.role is not Role.USER or user == self.name

    def holds(self, scope: Scope) -> bool:
        """Whether the caller holds a scope over anybody at all."""
        return scope in ROLE_SCOPES[self.role]

    def scopes(self) -> list[str]:
        """Return the scopes as JupyterHub writes them."""
        suffix = f"!user={self.name}" if self.role is Role.USER else ""
        return sorted(f"{scope}{suffix}" for scope in ROLE_SCOPES[self.role])

    def __str__(self) -> str:
        return self.name if self.kind == "user" else f"service {self.name}"
