"""The grammar of names: what is refused, and that what is accepted stays what it is."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.errors import InvalidName
from kworkspace.cli.client.names import (
    MAX_USER_NAME_BYTES,
    Login,
    is_dns_label,
    parse_login,
    parse_user_name,
    parse_workspace_name,
)

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@st.composite
def user_names(draw: st.DrawFn) -> str:
    """Any name that the grammar accepts."""
    text = draw(st.text(min_size=1, max_size=40))
    try:
        return parse_user_name(text)
    except InvalidName:
        return draw(LABELS)


@given(st.text(max_size=300))
def test_an_accepted_name_is_normal_and_stays_so(text: str) -> None:
    try:
        name = parse_user_name(text)
    except InvalidName:
        return
    assert parse_user_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert 1 <= len(name.encode()) <= MAX_USER_NAME_BYTES
    assert not set(name) & set("/+=:@% \t\r\n\0'\"`\\$;&<>|(){}")
    assert name[0] not in "-."


@given(user_names(), st.just("") | LABELS, st.none() | user_names())
def test_a_login_reads_back_as_it_was_written(user: str, server: str, admin: str | None) -> None:
    login = Login(user, server, admin)
    assert parse_login(str(login)) == login
    assert login.actor == (user if admin is None else admin)


@given(st.text(max_size=80))
def test_any_text_is_a_login_or_refused(text: str) -> None:
    try:
        login = parse_login(text)
    except InvalidName:
        return
    assert parse_login(str(login)) == login


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must not be empty"),
        ("-alice", "must not begin with '-'"),
        ("..", "must not begin with '.'"),
        ("a/b", "must not contain '/'"),
        ("a+b", "must not contain '+'"),
        ("a%h", "must not contain '%'"),
        ("a;b", "must not contain ';'"),
        ("a b", "U+0020"),
        ("a\u00a0b", "U+00A0"),
        ("a\x1bb", "U+001B"),
        ("a\u202eb", "U+202E"),
        ("a\nb", "U+000A"),
        ("\ud800", "valid Unicode"),
        ("x" * 256, "at most 255 bytes, this one has 256"),
        ("é" * 128, "at most 255 bytes, this one has 256"),
        ("Invite", "'invite' is a reserved name"),
        ("kworkspace", "reserved"),
    ],
)
def test_what_is_wrong_with_a_user_name_is_said(text: str, why: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_user_name(text, "user")
    assert caught.value.message.startswith("user: ")
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Alice", "alice"),
        ("a.b_c-d", "a.b_c-d"),
        ("e\u0301", "\u00e9"),
        ("ÅNGSTRÖM", "ångström"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_user_name_is_kept_in_one_form(text: str, name: str) -> None:
    assert parse_user_name(text) == name


@pytest.mark.parametrize("text", ["", "a", "gpu", "a-b", "1", "a" * 63])
def test_workspace_names(text: str) -> None:
    assert parse_workspace_name(text) == text


@pytest.mark.parametrize("text", ["A", "-a", "a-", "a_b", "a.b", "a" * 64, "é", "a\n", " "])
def test_workspace_names_that_are_no_dns_labels(text: str) -> None:
    assert not is_dns_label(text)
    with pytest.raises(InvalidName, match=r"^NAME: a workspace name has 1 to 63"):
        parse_workspace_name(text, "NAME")


@pytest.mark.parametrize("text", ["alice+", "+gpu", "=alice", "a=b=c", "a+b+c", "root=", "a=+b"])
def test_logins_that_are_none(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_login(text)
