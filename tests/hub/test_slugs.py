"""Slugs are DNS labels, the readable one first."""

from itertools import islice

import pytest

from kworkspace.cli.client.names import is_dns_label
from kworkspace.hub.slugs import MAX_BYTES, candidates


def first(user: str, server: str = "") -> str:
    return next(candidates(user, server))


def test_a_name_that_is_a_label_is_its_own_slug() -> None:
    assert first("alice") == "alice"
    assert first("a" * MAX_BYTES) == "a" * MAX_BYTES


@pytest.mark.parametrize(
    ("user", "server"),
    [
        ("alice", "gpu"),
        ("alice.smith", ""),
        ("a_b", ""),
        ("jürgen", "x"),
        ("日本", ""),
        ("a" * (MAX_BYTES + 1), ""),
        ("é" * 127, "a" * 63),
        ("-" * 0 + "a-", ""),
        ("_", ""),
    ],
)
def test_all_candidates_are_labels_of_bounded_length(user: str, server: str) -> None:
    slugs = list(candidates(user, server))
    assert len(set(slugs)) == len(slugs) >= 100
    for slug in slugs:
        assert is_dns_label(slug)
        assert len(slug) <= MAX_BYTES


def test_different_things_have_different_candidates() -> None:
    names = [("a-b", ""), ("a", "b"), ("a-b", "c"), ("a", "b-c"), ("a.b", ""), ("a_b", "")]
    firsts = [slug for user, server in names for slug in islice(candidates(user, server), 50)]
    assert len(set(firsts)) == len(firsts)


def test_they_are_stable() -> None:
    assert first("alice", "gpu") == first("alice", "gpu")
    assert first("alice", "gpu").startswith("alice-gpu-")
