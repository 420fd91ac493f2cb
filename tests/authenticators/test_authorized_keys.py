"""Lines of authorized_keys: read as sshd reads them; options hold, or are refused by name."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.authorized_keys import AuthorizedKey, parse_authorized_key
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.cli.client.errors import BadRequest
from tests.authenticators.conftest import KeyFile

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
ADDRESS = "192.0.2.7"


@pytest.fixture
def line(key_files: dict[str, KeyFile]) -> str:
    """A plain line."""
    return key_files["ed25519"].line.strip()


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system that is nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_plain_line(line: str) -> None:
    key = parse_authorized_key(line, "key 1")
    assert key == AuthorizedKey(parse_public_key(line))
    assert (key.line, key.comment, key.options) == (line, "alice@laptop", "")
    assert (key.algorithm, key.blob) == (key.key.algorithm, key.key.blob)
    assert key.fingerprint == key.key.fingerprint
    assert key.is_unconditional
    assert key.holds(NOON, "no address")


@pytest.mark.parametrize(
    "written",
    [
        "{}\r\n",
        "\ufeff{}",
        " \t{}\t \n",
        "{0[0]}\t{0[1]}\t\t{0[2]}",
        "{0[0]}  {0[1]} \t {0[2]}",
    ],
)
def test_blanks_and_ends_of_lines_do_not_matter(line: str, written: str) -> None:
    text = written.format(line.split() if "[0]" in written else line)
    assert parse_authorized_key(text).line == line
    with_options = f'\ufefffrom="{ADDRESS}"\t{text.removeprefix(chr(0xFEFF)).lstrip()}'
    assert parse_authorized_key(with_options).line == f'from="{ADDRESS}" {line}'


def test_comment_keeps_its_words(line: str) -> None:
    key = parse_authorized_key(f"{line} my\told laptop")
    assert key.comment == "alice@laptop my old laptop"


def test_from(line: str) -> None:
    key = parse_authorized_key(f'from="192.0.2.*,!192.0.2.1" {line}')
    assert key.holds(NOON, ADDRESS)
    assert not key.holds(NOON, "192.0.2.1")
    assert not key.is_unconditional
    assert key.is_current(NOON)


@pytest.mark.parametrize(
    ("written", "last"),
    [
        ("20300101Z", NOON.replace(hour=0)),
        ("203001011200Z", NOON),
        ("20300101120001Z", NOON + timedelta(seconds=1)),
        ("20300101", NOON - timedelta(hours=21)),
        ("203001012100", NOON),
        ("20300101210030", NOON + timedelta(seconds=30)),
    ],
)
def test_expiry_time(line: str, far_east: None, written: str, last: datetime) -> None:
    """With Z in UTC, without it in the system's zone; its last second still counts, as in sshd."""
    key = parse_authorized_key(f'Expiry-Time="{written}" {line}')
    assert key.expires == last
    assert key.holds(last, ADDRESS)
    assert not key.holds(last + timedelta(seconds=1), ADDRESS)
    assert not key.is_unconditional


def test_both_options_and_the_earliest_time(line: str) -> None:
    options = f'expiry-time="20310101Z",from="{ADDRESS}",expiry-time="203001011200Z"'
    key = parse_authorized_key(f"{options} {line}")
    assert (key.options, key.expires) == (options, NOON)
    assert not key.holds(NOON, "192.0.2.8")
    assert parse_authorized_key(key.line) == key


REFUSED = [
    *("agent-forwarding", "cert-authority", "no-agent-forwarding", "no-port-forwarding", "no-pty"),
    *("no-touch-required", "no-user-rc", "no-X11-forwarding", "port-forwarding", "pty", "restrict"),
    *("user-rc", "verify-required", "X11-forwarding", 'environment="A=B"', 'permitlisten="1"'),
    *('command="x"', 'Command="say \\"hi\\", twice"', 'permitopen="h:1"', 'principals="bob"'),
    *('tunnel="0"', f'from="{ADDRESS}",restrict', 'restrict,command="from=\\"*\\""'),
]


@pytest.mark.parametrize("options", REFUSED)
def test_other_options_are_refused_by_name(line: str, options: str) -> None:
    with pytest.raises(BadRequest, match=r"^key 1: the option [a-z0-9-]+ has no meaning"):
        parse_authorized_key(f"{options} {line}", "key 1")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("from=192.0.2.1", "must be options"),
        ("from", "the option from needs a value"),
        ('expiry-time="tomorrow"', "expiry-time= takes"),
        ('expiry-time="20301301Z"', "expiry-time= takes"),
        ('expiry-time="2030010112Z"', "expiry-time= takes"),
        ('expiry-time="00000101Z"', "expiry-time= takes"),
        ('expiry-time="\uff12\uff10\uff13\uff10\uff10\uff11\uff10\uff11Z"', "expiry-time= takes"),
        ('expiry-time=""', "expiry-time= takes"),
        ('from="*",from="*"', "from= is there twice"),
        ('from="*",', "must be options"),
        (',from="*"', "must be options"),
        ('from="*",,from="*"', "must be options"),
        ('from="*""', "is not closed"),
        ('from="*" "', "is not closed|must be options"),
        ('from="*"x', "must be options"),
        ('from="*" x', "must be options"),
        ('from="*", expiry-time="20300101Z"', "must be options"),
        ('from ="*"', "must be options"),
        ('from="*\\"', "is not closed"),
        ('from="*\\",restrict,x=\\""', "from= takes"),
        ('from="*\x00"', "control character"),
        ("x=", "must be options"),
        ("no-such-option", "an unknown option"),
        ('no-such-option="1"', "an unknown option"),
    ],
)
def test_confused_options_are_refused(line: str, options: str, why: str) -> None:
    with pytest.raises(BadRequest, match=f"^key 1: .*({why})") as caught:
        parse_authorized_key(f"{options} {line}", "key 1")
    assert "\n" not in caught.value.message
    assert line.split()[1][30:50] not in caught.value.message


def test_what_is_no_key_is_told_as_before(line: str) -> None:
    kind, encoded, _ = line.split()
    for bad, why in (
        ("", "begins with its type"),
        ("# nothing", "begins with its type"),
        (encoded, "begins with its type"),
        (f'command="x" {encoded}', "begins with its type"),
        (f'from="*" {kind} {encoded[:-4]}', "damaged"),
        (f"{line}\n{line}", "a line break"),
        (f"{line}\r{line}", "control character"),
        (f"{kind}-cert-v01@openssh.com {encoded}", "this is a certificate"),
        (f'from="*" {"x" * 9000}', "more than 8192 characters"),
    ):
        with pytest.raises(BadRequest, match=f"^key 1: .*{why}") as caught:
            parse_authorized_key(bad, "key 1")
        assert encoded[30:50] not in caught.value.message


def test_bits_that_say_nothing_are_refused(key_files: dict[str, KeyFile]) -> None:
    kind, encoded, _ = key_files["nistp256"].line.split()
    assert encoded.endswith("=")
    other = chr(ord(encoded[-2]) + 1)
    with pytest.raises(BadRequest, match="damaged"):
        parse_authorized_key(f"{kind} {encoded[:-2]}{other}=")


QUOTED = st.text(alphabet='\\",= x*19.Z', max_size=20)
OPTION = st.sampled_from(["from", "expiry-time", "command", "restrict", ""])


@given(st.lists(st.tuples(OPTION, st.sampled_from(["", "=", '="']), QUOTED), max_size=4))
def test_any_options_hold_or_are_refused(
    key_files: dict[str, KeyFile], options: list[tuple[str, str, str]]
) -> None:
    text = ",".join("".join(option) for option in options)
    try:
        key = parse_authorized_key(f"{text} {key_files['ed25519'].line}")
    except BadRequest:
        return
    assert "command" not in key.options
    assert "restrict" not in key.options
    assert key.options == text.strip(" ")
    assert parse_authorized_key(key.line) == key


@given(st.text())
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_authorized_key(text)


@given(st.integers(0, 99999999), st.integers(0, 999999), st.sampled_from(["", "Z"]))
def test_any_time_is_one_or_refused(
    key_files: dict[str, KeyFile], day: int, clock: int, zone: str
) -> None:
    text = f'expiry-time="{day:08}{clock:06}{zone}" {key_files["ed25519"].line}'
    try:
        expires = parse_authorized_key(text).expires
    except BadRequest:
        return
    assert expires is not None
    assert expires.tzinfo is UTC
