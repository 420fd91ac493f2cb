"""Options that hold keys: mistakes are one line that names option and entry."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from kworkspace.authenticators.base import Authenticator
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.authenticators.options import parse_authorities, parse_revoked, parse_users
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from tests.authenticators.conftest import KeyFile

DOCUMENT = Path(__file__).parents[2] / "docs/authentication.md"


def test_document_names_every_option_and_authenticator() -> None:
    text = DOCUMENT.read_text()
    options = SSHKeyAuthenticator.class_own_traits(config=True)
    options |= Authenticator.class_own_traits(config=True)
    assert [name for name in options if f"{name}`" not in text and f".{name} =" not in text] == []
    names = entry_points(group="kworkspace.authenticators").names
    assert [name for name in names if f"| `{name}` |" not in text] == []
    assert len(options) >= 8
    assert len(names) >= 3


def test_users(key_files: dict[str, KeyFile]) -> None:
    line = key_files["ed25519"].line
    users = parse_users({"Alice": [f'from="192.0.2.1"\t{line}\r\n', line], "bob": ()})
    assert set(users) == {"alice", "bob"}
    assert len(users["alice"][parse_public_key(line).digest]) == 2
    assert users["bob"] == {}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("users", {"alice": ["pty KEY"]}, "['alice'][0]: the option pty has no meaning here"),
        ("users", {"alice": ["KEY", 'from="x" KEY']}, "['alice'][1]: from= takes IP addresses"),
        ("user_authorities", ["KEY", "nothing"], "[1]: a public key line begins with its type"),
        ("user_authorities", ["cert-authority KEY"], "[0]: options in front of a key"),
        ("user_authorities", "/no/such/file", ": /no/such/file cannot be read: No such file"),
        ("revoked_keys", ["KEY", "SHA256:AAAA"], "[1]: a public key line begins with its type"),
        ("revoked_keys", ['from="*" KEY'], "[0]: options in front of a key"),
    ],
)
def test_mistake_is_one_line_that_names_it(
    key_files: dict[str, KeyFile], option: str, value: object, message: str
) -> None:
    line = key_files["ed25519"].line.strip()
    encoded = line.split()[1]

    def fill(item: object) -> object:
        return item.replace("KEY", line) if isinstance(item, str) else item

    if isinstance(value, dict):
        value = {name: [fill(item) for item in items] for name, items in value.items()}
    elif isinstance(value, list):
        value = [fill(item) for item in value]
    config = Config({"SSHKeyAuthenticator": {option: value}})
    with pytest.raises(TraitError) as caught:
        SSHKeyAuthenticator(config=config)
    text = str(caught.value)
    assert text.startswith(f"c.SSHKeyAuthenticator.{option}{message}")
    assert "\n" not in text
    assert encoded[30:50] not in text


@pytest.mark.parametrize("option", ["admin_users", "allowed_users", "blocked_users"])
def test_names_are_parsed(option: str) -> None:
    config = Config({"Authenticator": {option: {"Alice", "ali\u0301ce"}}})
    assert getattr(SSHKeyAuthenticator(config=config), option) == {"alice", "al\u00edce"}
    config = Config({"Authenticator": {option: {"alice", "a b"}}})
    with pytest.raises(TraitError, match=rf"^c\.Authenticator\.{option}: 'a b': .* white space"):
        SSHKeyAuthenticator(config=config)


def test_authorities_of_a_file(tmp_path: Path, key_files: dict[str, KeyFile]) -> None:
    one, two = key_files["ed25519"].line.strip(), key_files["rsa"].line.strip()
    expected = {parse_public_key(one).digest, parse_public_key(two).digest}
    file = tmp_path / "ca.pub"
    file.write_text(f"\ufeff{one}\r\n\n# the old one\r\n  {two}\n")
    assert parse_authorities(str(file)) == expected == parse_authorities([one, f"{two}\r\n"])
    assert parse_authorities("") == parse_authorities([]) == frozenset()
    file.write_text(f"{one}\nnothing\n")
    with pytest.raises(TraitError, match=r"/ca\.pub: line 2: a public key line begins"):
        parse_authorities(str(file))
    file.write_text("# nothing\n")
    with pytest.raises(TraitError, match="has no key in it"):
        parse_authorities(str(file))


def test_revoked_by_line_or_fingerprint(key_files: dict[str, KeyFile]) -> None:
    key = key_files["ed25519"]
    digest = parse_public_key(key.line).digest
    assert parse_revoked([key.line]) == parse_revoked([f" {key.fingerprint}\n"]) == {digest}
