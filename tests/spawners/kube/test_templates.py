"""Names out of users' names: of any script and length, and never the same for two."""

import contextlib
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.names import is_dns_label
from kworkspace.spawners.kube import templates

# As the hub takes them: 1 to 255 bytes, no white space, and none of these.
USERS = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/+=:@"), min_size=1
).filter(lambda text: not text.startswith(("-", ".")) and len(text.encode()) <= 255)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
NAMES = st.one_of(USERS, LABELS)
SERVERS = st.one_of(st.just(""), LABELS)


def values(user: str = "alice", server: str = "", slug: str = "") -> Mapping[str, str]:
    return templates.fields(
        user=user,
        server=server,
        slug=slug or templates.user_server_piece(user, server),
        server_id="5e1f",
        hub_id="hub",
        namespace="workspaces",
        hub_namespace="kworkspace",
    )


def name(template: str, user: str, server: str = "") -> str:
    return templates.object_name(template, values(user, server))


@pytest.mark.parametrize(
    ("user", "made"),
    [
        ("alice", "alice"),
        ("a-b", "a-b"),
        ("7", "7"),
        ("alice.smith", "alice-smith---"),
        ("ünï", "n---"),
        ("alice--b", "alice-b---"),
        ("王小明", "x---"),
        ("Ωmega", "mega---"),
        ("a" * 48, "a" * 48),
        ("a" * 49, f"{'a' * 21}---"),
        ("a" * 255, f"{'a' * 21}---"),
        ("🙂", "x---"),
    ],
)
def test_a_users_piece(user: str, made: str) -> None:
    piece = templates.piece(user)
    if made.endswith("---"):
        assert re.fullmatch(rf"{made}[0-9a-f]{{8}}", piece)
    else:
        assert piece == made
    assert is_dns_label(name("workspace-{username}", user))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.b", "a_b"),
        ("a.b", "a-b"),
        ("王", "黄"),
        ("a" * 49, "a" * 50),
        ("a--b", "a-b"),
        ("é", "e"),
    ],
)
def test_users_that_look_alike_differ(one: str, other: str) -> None:
    assert name("workspace-{username}", one) != name("workspace-{username}", other)


@given(NAMES, SERVERS)
def test_any_user_gives_names_that_kubernetes_allows(user: str, server: str) -> None:
    for field in ("username", "user_server", "slug", "safe_user_server", "escaped_username"):
        made = name(f"workspace-{{{field}}}", user, server)
        assert is_dns_label(made), made
        assert len(made) <= templates.MAX_LABEL
    assert templates.is_label_value(templates.user_label(user))


@given(st.tuples(NAMES, SERVERS), st.tuples(NAMES, SERVERS))
def test_two_workspaces_never_meet(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = name("workspace-{user_server}", *one) == name("workspace-{user_server}", *other)
    assert same == (one == other)
    assert (templates.user_label(one[0]) == templates.user_label(other[0])) == (one[0] == other[0])


@given(LABELS, LABELS)
def test_a_user_with_a_hyphen_is_not_anothers_workspace(user: str, server: str) -> None:
    assert templates.user_server_piece(user, server) != templates.piece(f"{user}-{server}")
    assert templates.user_server_piece(user, server) != templates.piece(f"{user}--{server}")


def test_a_template_that_says_too_little_has_workspaces_meet() -> None:
    template = "workspace-{username}-{servername}"
    assert name(template, "a", "b") == name(template, "a-b")
    assert name("workspace-{username}", "a", "b") == name("workspace-{username}", "a")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("workspace-{username}", "workspace-alice"),
        ("workspace-{username}-{servername}", "workspace-alice"),  # no hyphen at the end
        ("{username}-", "alice-"),
        ("{{x}}", "{x}"),
        ("", ""),
        ("{hubnamespace}/{namespace}/{hub_id}/{server_id}", "kworkspace/workspaces/hub/5e1f"),
        ("{unescaped_username}", "alice"),
    ],
)
def test_a_template(template: str, text: str) -> None:
    assert templates.expand(template, values()) == text


def test_the_fields_are_those_that_are_named() -> None:
    later = {"pod_name", "pvc_name", "account"}  # out of others' templates
    assert values().keys() | later == set(templates.FIELDS)
    assert values("a.b")["escaped_username"] == "a-2eb"
    assert values("é", "x")["escaped_user_server"] == "-c3-a9--x"
    assert values("alice")["escaped_user_server"] == "alice"
    in_default = templates.fields(
        user="a",
        server="",
        slug="a",
        server_id="",
        hub_id="",
        namespace="",
        hub_namespace="default",
    )
    assert in_default["hubnamespace"] == "user"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{user_name}", "there is no field {user_name}; did you mean {username}?"),
        ("{}", "there is no field {}; there are {username}, "),
        ("{0}", "there is no field {0}; there are {username}, "),
        ("{username!r}", "there is no field {username!r}; there are {username}, "),
        ("{username:>9}", "there is no field {username:>9}; there are "),
        ("{username.__class__}", "there is no field {username.__class__}; there are"),
        ("{username[0]}", "there is no field {username[0]}; there are"),
        ("{username", "expected '}' before end of string; write {{ and }} for braces"),
        ("x}", "Single '}' encountered in format string; write {{ and }} for braces"),
    ],
)
def test_one_that_cannot_be_expanded(template: str, why: str) -> None:
    with pytest.raises(templates.TemplateError) as caught:
        templates.expand(template, values())
    assert str(caught.value).startswith(f"{template!r} cannot be expanded: {why}")


@given(st.text())
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(templates.TemplateError):
        assert templates.expand(text, values()) or "{" in text or not text.strip("-")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("{username}", "alice"),
        ("${username}", "${username}"),
        ("{{username}}", "{{username}}"),
        ("awk '{print $1}' {username}", "awk '{print $1}' alice"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("x}", "x}"),
    ],
)
def test_texts_with_other_braces(text: str, becomes: str) -> None:
    assert templates.expand_known(text, values()) == becomes


def test_a_misspelt_field_among_other_braces() -> None:
    with pytest.raises(templates.TemplateError, match=r"did you mean \{username\}"):
        templates.expand_known("{ueername}", values())


def test_a_tree() -> None:
    tree = {"{username}": ["{username}", ("{slug}", 1)], "b": {"c": None, "d": True}}
    expanded = {"{username}": ["alice", ["alice", 1]], "b": {"c": None, "d": True}}
    assert templates.expand_all(tree, values()) == expanded
    with pytest.raises(templates.TemplateError):
        templates.expand_all({"a": ["}"]}, values())
    assert templates.expand_all({"a": ["}"]}, values(), lenient=True) == {"a": ["}"]}


@pytest.mark.parametrize("length", [12, 32, 63])
@given(text=st.text())
def test_a_hash_keeps_to_its_length(text: str, length: int) -> None:
    made = templates.hashed(text, length)
    assert is_dns_label(made)
    assert len(made) <= length
    assert templates.hashed(text, length, of="another")[-8:] != made[-8:] or text == "another"
