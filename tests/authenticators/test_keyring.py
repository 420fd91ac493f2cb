"""Keys are found by digest, and those of the database live no longer than its rows."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.authorized_keys import parse_authorized_key
from kworkspace.authenticators.keyring import ParsedLines, by_digest, digest_of
from kworkspace.authenticators.keys import parse_public_key
from tests.authenticators.conftest import KeyFile


def test_one_key_on_two_lines(key_files: dict[str, KeyFile]) -> None:
    line, other = key_files["ed25519"].line, key_files["rsa"].line
    lines = [f'from="192.0.2.1" {line}', line, other]
    keys = [parse_authorized_key(each) for each in lines]
    found = by_digest(keys)
    assert found[keys[0].key.digest] == (keys[0], keys[1])
    assert found[keys[2].key.digest] == (keys[2],)


def test_fingerprint_and_digest(key_files: dict[str, KeyFile]) -> None:
    for file in key_files.values():
        key = parse_public_key(file.line)
        assert digest_of(file.fingerprint) == digest_of(key.fingerprint) == key.digest


@pytest.mark.parametrize(
    "text", ["", "SHA256:", "SHA256:AAAA", "MD5:00:11", f"SHA256:{'A' * 42}\u00e4", "A" * 43]
)
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="no SHA256 fingerprint"):
        digest_of(text)


@given(st.text().map(lambda rest: f"SHA256:{rest}"))
def test_any_text_is_a_fingerprint_or_a_value_error(text: str) -> None:
    try:
        assert len(digest_of(text)) == 32
    except ValueError:
        return


def test_lines_are_parsed_once_and_never_kept_longer(key_files: dict[str, KeyFile]) -> None:
    lines = ParsedLines()
    one, two = key_files["ed25519"].line, key_files["rsa"].line
    first = lines.keys("alice", [one, two])
    assert len(first) == 2
    assert lines.keys("alice", [one, two]) is first
    assert set(lines.keys("alice", [two])) == {parse_public_key(two).digest}
    assert lines.keys("bob", [two]) is not lines.keys("alice", [two])
    assert lines.keys("alice", []) == {}
    assert lines.keys("alice", [one]) == by_digest([parse_authorized_key(one)])


def test_line_that_is_no_longer_accepted(
    key_files: dict[str, KeyFile], caplog: pytest.LogCaptureFixture
) -> None:
    lines = ParsedLines()
    good, bad = key_files["ed25519"].line, f"restrict {key_files['rsa'].line}"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(lines.keys("alice", [bad, good])) == 1
    (record,) = caplog.records
    assert "database, key 1 of alice: the option restrict" in record.getMessage()
    assert bad.split()[2][30:50] not in record.getMessage()


def test_memory_is_bounded(key_files: dict[str, KeyFile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kworkspace.authenticators.keyring.MOST_USERS", 2)
    lines = ParsedLines()
    line = key_files["ed25519"].line
    for name in ("alice", "bob", "carol", "alice"):
        assert len(lines.keys(name, [line])) == 1
    assert len(lines._parsed) == 2
