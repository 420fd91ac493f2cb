"""What a start is asked for, and what runs already."""

from typing import Any

import pytest

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.profiles import asked_for, completed, is_as_asked, runs_as

IMAGE = "image--unlisted-choice"


def test_what_is_asked_for() -> None:
    assert asked_for(None, []) == {}
    assert asked_for("gpu", ["image=a=b", "size=1"]) == {
        "profile": "gpu",
        "image": "a=b",
        "size": "1",
    }


@pytest.mark.parametrize(("profile", "option"), [("a\udcff", "a=b"), (None, "a=\udcff")])
def test_what_is_no_text(profile: str | None, option: str) -> None:
    """So Python hands over arguments that are not in UTF-8."""
    with pytest.raises(UsageFault, match="take text"):
        asked_for(profile, iter([option]))


@pytest.mark.parametrize(
    ("asked", "last", "then"),
    [
        ({"profile": "a"}, {"profile": "b", "image": "x"}, {"profile": "a"}),
        ({"image": "y"}, {"profile": "b", "image": "x"}, {"profile": "b", "image": "y"}),
        ({"image": "y"}, {"profile": "b", IMAGE: "x"}, {"profile": "b", "image": "y"}),
        ({"image": "y"}, {"size": 1}, {"size": 1, "image": "y"}),
        ({"image": "y"}, {}, {"image": "y"}),
    ],
)
def test_choices_alone_change_the_last_start(
    asked: dict[str, str], last: dict[str, Any], then: dict[str, Any]
) -> None:
    assert completed(asked, last) == then


@pytest.mark.parametrize(
    ("has", "said", "as_asked"),
    [
        ({}, "without a profile", False),
        ({"profile": "gpu"}, "as gpu", False),
        ({"profile": "gpu", "image": "x"}, "as gpu with image=x", True),
        ({"profile": "gpu", IMAGE: "x", "size": 1}, "as gpu with image=x, size=1", True),
        ({"image": "y"}, "with image=y", False),
        ({"image": ["x"]}, "with image=['x']", False),
    ],
)
def test_what_runs(has: dict[str, Any], said: str, *, as_asked: bool) -> None:
    assert runs_as(has) == said
    assert is_as_asked({"image": "x"}, has) is as_asked
