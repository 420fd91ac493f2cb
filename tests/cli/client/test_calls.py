"""The paths of the calls: no name leaves its segment."""

from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client import calls


def test_the_default_workspace_and_a_named_one() -> None:
    assert calls.start("alice").path == "/hub/api/users/alice/server"
    assert calls.start("alice", "gpu").path == "/hub/api/users/alice/servers/gpu"
    assert calls.progress("alice").path == "/hub/api/users/alice/server/progress"
    assert calls.progress("alice").stream
    assert [calls.start("a").method, calls.stop("a").method] == ["POST", "DELETE"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_name_stays_one_segment(name: str) -> None:
    parts = urlsplit(calls.get_user(name).path)
    assert not parts.query
    assert not parts.fragment
    assert parts.path.isascii()
    *before, last = parts.path.split("/")
    assert before == ["", "hub", "api", "users"]
    assert unquote(last) == name
