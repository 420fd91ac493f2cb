"""Any key proves any name, on this machine alone."""

import logging
from typing import Any

import pytest
from asyncssh.public_key import read_private_key
from traitlets import TraitError

from kworkspace.authenticators.base import ProvenKey
from kworkspace.authenticators.dummy import DummyAuthenticator
from kworkspace.hub.config import HubOptions
from tests.authenticators.conftest import TEXT, KeyFile, certify
from tests.authenticators.test_ssh_key import login_request

HERE = "127.0.0.1"


@pytest.mark.parametrize("address", [HERE, "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_any_key_is_anybodys(other_key: KeyFile, address: str) -> None:
    dummy = DummyAuthenticator()
    for user in ("alice", "never-heard-of"):
        assert dummy.may_offer(user, other_key.line, address=address)
        proven = dummy.verify_signature(user, TEXT, other_key.sign(), address=address)
        assert proven == ProvenKey(user, other_key.fingerprint)
        assert dummy.is_good(user, other_key.fingerprint)
        assert dummy.is_good(user, other_key.fingerprint, address=address)
        assert not dummy.is_good(user, other_key.fingerprint, address="192.0.2.1")


def test_login(other_key: KeyFile) -> None:
    dummy = DummyAuthenticator()
    request = login_request(other_key.line, "ssh-ed25519", "alice+gpu")
    signature = read_private_key(other_key.path).sign(request, b"ssh-ed25519")

    def login(login: str, signature: bytes) -> ProvenKey | None:
        return dummy.verify_login("alice", login, other_key.line, request, signature, address=HERE)

    assert login("alice+gpu", signature) == ProvenKey("alice", other_key.fingerprint)
    assert login("alice", signature) is None
    assert login("alice+gpu", bytes([*signature[:-1], signature[-1] ^ 1])) is None


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "", "unix"])
def test_nobody_from_elsewhere(other_key: KeyFile, address: str) -> None:
    dummy = DummyAuthenticator()
    assert not dummy.may_offer("alice", other_key.line, address=address)
    assert dummy.verify_signature("alice", TEXT, other_key.sign(), address=address) is None


def test_it_must_be_a_key_that_signed(other_key: KeyFile) -> None:
    dummy = DummyAuthenticator()
    assert not dummy.may_offer("alice", "no key", address=HERE)
    assert dummy.verify_signature("alice", b"other", other_key.sign(), address=HERE) is None
    assert dummy.verify_signature("alice", TEXT, "no signature", address=HERE) is None


def test_certificate_is_a_key_too(new_key: KeyFile, authority: KeyFile) -> None:
    line = certify(authority.path, new_key.path.with_suffix(".pub")).read_text()
    assert DummyAuthenticator().may_offer("bob", line, address=HERE)


def test_lists_count() -> None:
    dummy = DummyAuthenticator(blocked_users={"Bob"})
    assert dummy.may_enter("alice")
    assert not dummy.may_enter("bob")
    dummy = DummyAuthenticator(allowed_users={"alice"}, admin_users={"carol"})
    assert [dummy.may_enter(name) for name in ("alice", "bob", "carol")] == [True, False, True]
    assert DummyAuthenticator(allowed_users={"alice"}, allow_all=True).may_enter("bob")


def test_nobody_has_keys_of_their_own() -> None:
    dummy = DummyAuthenticator()
    assert list(dummy.known_users()) == []
    assert [*dummy.keys_of("alice"), *dummy.public_keys("alice")] == []


@pytest.mark.parametrize(
    ("option", "url"),
    [
        ("bind_url", "http://0.0.0.0:8000"),
        ("bind_url", "http://192.0.2.1:8000"),
        ("bind_url", "http://hub.example.org:8000"),
        ("ssh_bind_url", "ssh://[::]:2222"),
        ("public_urls", ["http://127.0.0.1:8000", "https://hub.example.org"]),
    ],
)
def test_hub_that_others_reach_does_not_start(option: str, url: Any) -> None:
    options = HubOptions(**{option: url})
    with pytest.raises(TraitError, match=rf"^c\.Hub\.{option}: .* no loopback address") as caught:
        DummyAuthenticator(parent=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_it_says_loudly_what_it_does(host: str, caplog: pytest.LogCaptureFixture) -> None:
    options = HubOptions(bind_url=f"http://{host}:8000", ssh_bind_url=f"ssh://{host}:2222")
    with caplog.at_level(logging.WARNING):
        DummyAuthenticator(parent=options, log=logging.getLogger("test"))
    assert "lets everybody on this machine in" in caplog.text
