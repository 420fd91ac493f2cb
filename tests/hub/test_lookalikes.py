"""Names that a person cannot tell apart are found in every script; those that one can are not."""

import pytest

from kworkspace.hub.lookalikes import find_lookalikes, skeleton


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "\N{CYRILLIC SMALL LETTER A}lice"),
        ("alice", "al\N{CYRILLIC SMALL LETTER BYELORUSSIAN-UKRAINIAN I}ce"),
        ("alice", "\N{LATIN SMALL LETTER ALPHA}lice"),
        ("alice", "al\N{LATIN SMALL LETTER DOTLESS I}ce"),
        ("bob", "b\N{GREEK SMALL LETTER OMICRON}b"),
        ("vick", "\N{GREEK SMALL LETTER NU}ick"),
        ("cop", "\u0441\u043e\u0440"),  # all of it Cyrillic
        ("modern", "rnodern"),
        ("user1", "userl"),
        ("file", "\N{LATIN SMALL LIGATURE FI}le"),
        ("jos\u00e9", "jose\u0301"),
    ],
)
def test_what_looks_alike(one: str, other: str) -> None:
    assert one != other
    assert skeleton(one) == skeleton(other)
    assert list(find_lookalikes([other], [one])) == [(other, one)]
    assert list(find_lookalikes([one, other], [])) == [(other, one)]


@pytest.mark.parametrize(
    "name",
    [
        "ivan",
        "иван",
        "кирилл",
        "αλέξανδρος",
        "דוד",
        "محمد",
        "小明",
        "さくら",
        "민준",
        "josé",
        "jose",
    ],
)
def test_names_of_every_script_are_welcome(name: str) -> None:
    others = ["alice", "bob", "ivan", "иван", "кирилл", "小朋", "jose", "josé", "דן", "maria-2"]
    assert list(find_lookalikes([name], set(others) - {name})) == []
    assert list(find_lookalikes([name], [name])) == [], "nobody looks like themselves"


def test_one_among_many() -> None:
    many = [f"user-{n:05}" for n in range(10_000)]
    assert list(find_lookalikes(["somebody", "us\u0435r-00042"], many)) == [
        ("us\u0435r-00042", "user-00042")
    ]
