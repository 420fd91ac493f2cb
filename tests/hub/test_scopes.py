"""Who may do what."""

import pytest

from kworkspace.hub.scopes import Caller, Role, Scope


def caller(role: Role, name: str = "alice") -> Caller:
    kind = "user" if role in {Role.USER, Role.ADMIN} else "service"
    return Caller("user" if kind == "user" else "service", name, role)


OWN = {"read:users", "read:servers", "servers", "access:servers", "tokens", "keys"}
ADMINS = OWN | {
    "list:users",
    "admin:users",
    "list:groups",
    "read:groups",
    "groups",
    "admin:groups",
    "read:metrics",
}


@pytest.mark.parametrize(
    ("role", "own", "others", "everybody"),
    [
        (Role.USER, OWN, set(), set()),
        (Role.ADMIN, *[ADMINS] * 3),
        (Role.GATEWAY, {"gateway"}, {"gateway"}, {"gateway"}),
        (Role.SERVICE, set(), set(), set()),
    ],
)
def test_roles(role: Role, own: set[str], others: set[str], everybody: set[str]) -> None:
    who = caller(role)
    assert {scope for scope in Scope if who.may(scope, "alice")} == own
    assert {scope for scope in Scope if who.may(scope, "bob")} == others
    assert {scope for scope in Scope if who.may(scope)} == everybody


def test_as_jupyterhub_writes_them() -> None:
    assert "servers!user=alice" in caller(Role.USER).scopes()
    assert "list:users" in caller(Role.ADMIN).scopes()
    assert str(caller(Role.USER)) == "alice"
    assert str(caller(Role.GATEWAY, "gateway")) == "service gateway"
