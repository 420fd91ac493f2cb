"""The keys at the hub: real keys, real fingerprints, and no private key that gets anywhere."""

import io
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client.key_cards import key_cards
from kworkspace.cli.client.reports import KeyReport
from kworkspace.cli.key_files import read_public_key
from tests.cli.on_terminal import on_terminal
from tests.cli.stand_in_hub import key_view

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]
    NewKey = Callable[..., str]


@pytest.fixture
def keys(hub: "Hub", alice: Path, home: Path, new_key: "NewKey") -> list[str]:
    """Fingerprints: the key that signs in, one more of the database, one of the configuration."""
    hub.key_views = [
        key_view(alice.with_suffix(".pub").read_text().strip(), "k1"),
        key_view(new_key(home / "laptop"), "k2"),
        key_view(new_key(home / "old", "ecdsa"), None, "configuration"),
    ]
    return [view["fingerprint"] for view in hub.key_views]


def test_the_list(keys: list[str], kworkspace: "Run") -> None:
    out = kworkspace("keys", "list").out
    cards = out.split("\n\n")
    assert [card.splitlines()[:2] for card in cards] == [
        ["id_ed25519", f"  {keys[0]}"],
        ["laptop", f"  {keys[1]}"],
        ["old", f"  {keys[2]}"],
    ]
    assert ["signed this computer in" in card for card in cards] == [True, False, False]
    assert "ECDSA, in the hub's configuration" in cards[2]
    shown = json.loads(kworkspace("keys", "list", "-o", "json").out)["keys"]
    assert [key["current"] for key in shown] == [True, False, False]
    assert [key["removable"] for key in shown] == [True, True, False]
    assert [key["fingerprint"] for key in shown] == keys


def test_no_keys(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    assert kworkspace("keys", "list").out == "You have no key at the hub.\n"


def test_expiry_and_options() -> None:
    now = datetime.now(UTC)
    key = {"type": "ssh-rsa", "source": "directory", "created": now - timedelta(days=9)}
    key |= {"fingerprint": "SHA256:x", "options": 'from="10.0.0.0/8"', "comment": "\x1b[2J"}
    good, over = (
        KeyReport(**key, expires=moment, removable=False, current=False)  # type: ignore[arg-type]
        for moment in (now + timedelta(days=3), now - timedelta(days=3))
    )
    assert key_cards([good, over]) == [
        "[2J",
        "  SHA256:x",
        "  RSA, in the hub's directory of keys, added 9 days ago",
        "  expires in 3 days",
        '  options: from="10.0.0.0/8"',
        "",
        "[2J",
        "  SHA256:x",
        "  RSA, in the hub's directory of keys, added 9 days ago",
        "  expired 3 days ago",
        '  options: from="10.0.0.0/8"',
    ]


def test_a_key_is_added(
    hub: "Hub", alice: Path, home: Path, new_key: "NewKey", kworkspace: "Run"
) -> None:
    line = new_key(home / "laptop")
    (home / "laptop.pub").write_bytes(f"# mine\r\n{line}\r\n\r\n".encode())
    result = kworkspace("keys", "add", "laptop.pub")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"Added laptop ({key_view(line, 'x')['fingerprint']}).\n"
    assert hub.added == [line]
    again = kworkspace("keys", "add", "laptop.pub")
    assert (again.code, again.out.endswith(" is there already.\n")) == (0, True)
    assert json.loads(kworkspace("keys", "add", "laptop.pub", "-o", "json").out)["changed"] is False


def test_a_key_of_stdin(
    *,
    hub: "Hub",
    alice: Path,
    home: Path,
    new_key: "NewKey",
    kworkspace: "Run",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = f'from="10.0.0.1" {new_key(home / "laptop")}'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))
    assert read_public_key("-") == line


@pytest.mark.parametrize("passphrase", ["", "secret"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_a_private_key_goes_nowhere(
    *, form: str, passphrase: str, hub: "Hub", alice: Path, home: Path, kworkspace: "Run"
) -> None:
    key = home / "mine"
    command = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", passphrase, "-f", str(key), "-m", form]
    subprocess.run(command, check=True)
    result = kworkspace("keys", "add", "mine")
    assert (result.code, result.out) == (2, "")
    assert result.err == ("kworkspace: mine is a private key, which stays with you: add mine.pub\n")
    (home / "mine.pub").unlink()
    assert "ssh-keygen -y -f FILE shows" in kworkspace("keys", "add", "mine").err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds nothing and not one public key"),
        (b"# a\n\n", "holds nothing and not one public key"),
        (b"ssh-rsa AAAA secret\nssh-rsa BBBB secret\n", "holds 2 lines and not one public key"),
        (b"\xff\xfesecret", "is no text, so no public key"),
        (b"secret" * 20_000, "is too large to be a public key"),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\nsecret", "ssh-keygen -i -f FILE converts it"),
        (b"PuTTY-User-Key-File-3: secret", "is a private key, which stays with you"),
    ],
)
def test_what_is_no_public_key(
    *, content: bytes, message: str, alice: Path, home: Path, hub: "Hub", kworkspace: "Run"
) -> None:
    (home / "x").write_bytes(content)
    result = kworkspace("keys", "add", "x")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "secret" not in result.err
    assert hub.requests == []
    assert kworkspace("keys", "add", "nope").err == "kworkspace: there is no file nope\n"


def test_a_key_is_removed(hub: "Hub", keys: list[str], kworkspace: "Run") -> None:
    result = kworkspace("keys", "remove", keys[1][:11])
    assert (result.code, result.err) == (0, "")
    assert result.out == f"Removed laptop ({keys[1]}).\n"
    assert [view["id"] for view in hub.key_views] == ["k1", None]


def test_a_key_is_removed_by_its_comment(hub: "Hub", keys: list[str], kworkspace: "Run") -> None:
    shown = json.loads(kworkspace("keys", "remove", "laptop", "-o", "json").out)
    assert (shown["key"]["fingerprint"], shown["changed"]) == (keys[1], True)


def test_keys_that_are_not_meant(hub: "Hub", keys: list[str], kworkspace: "Run") -> None:
    for wrong in ("SHA256:", "SHA", "nope", keys[1][7:9]):
        result = kworkspace("keys", "remove", wrong, "--yes")
        assert (result.code, result.out) == (4, "")
        assert "; see kworkspace keys list" in result.err
    hub.key_views[1]["comment"] = "old"
    assert "'old' is 2 of your keys" in kworkspace("keys", "remove", "old").err
    configured = kworkspace("keys", "remove", keys[2])
    assert configured.code == 3
    assert "is of the hub's configuration: its admin removes it there" in configured.err
    assert len(hub.key_views) == 3


def test_the_key_that_signed_in_needs_a_word(
    hub: "Hub", home: Path, keys: list[str], kworkspace: "Run"
) -> None:
    result = kworkspace("keys", "remove", keys[0])
    assert (result.code, len(hub.key_views)) == (2, 3)
    assert kworkspace("keys", "remove", keys[0], "--yes").code == 0
    assert list((home / ".local/state/kworkspace/tokens").iterdir()) == []


@pytest.mark.parametrize(("answer", "left"), [("y\n", 2), ("\n", 3)])
def test_the_key_that_signed_in_is_asked_about(
    answer: str, left: int, hub: "Hub", keys: list[str], program: str
) -> None:
    shown = on_terminal([program, "keys", "remove", "id_ed25519"], ("Go on?", answer))
    assert "signed this computer in: that ends, and its SSH sessions." in shown.text
    assert shown.code == (0 if left == 2 else 1)
    assert len(hub.key_views) == left
