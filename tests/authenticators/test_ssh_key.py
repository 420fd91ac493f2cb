"""The whitelist, both kinds of proof with every type of key, and what a refusal gives away."""

import logging
from collections import Counter
from typing import Any

import pytest
from asyncssh.packet import String
from asyncssh.public_key import SSHKey, read_private_key
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError
from traitlets.config import Config

from kworkspace.authenticators.base import ProvenKey
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from tests.authenticators.conftest import (
    KINDS,
    TEXT,
    TOUCHED,
    HardwareKey,
    KeyFile,
    armor,
    file_signature,
)

SESSION = bytes(range(32))
RSA_SIGNATURES = ("rsa-sha2-256", "rsa-sha2-512")

ADDRESS = "192.0.2.7"


@pytest.fixture(scope="session")
def authenticator(key_lines: dict[str, str], other_key: KeyFile) -> SSHKeyAuthenticator:
    """alice has every key but one, which is bob's."""
    lines = list(key_lines.values())
    return SSHKeyAuthenticator(users={"alice": lines, "Bob": [other_key.line], "carol": []})


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often which key's signature was verified, counted at asyncssh's own method."""
    counts: Counter[bytes] = Counter()
    verify = SSHKey.verify

    def count(self: SSHKey, data: bytes, sig: bytes) -> bool:
        counts[self.public_data] += 1
        return verify(self, data, sig)

    monkeypatch.setattr(SSHKey, "verify", count)
    return counts


def login_request(line: str, algorithm: str, login: str = "alice") -> bytes:
    """What an SSH client signs."""
    return request_of(SESSION, login, algorithm, parse_public_key(line).blob)


def request_of(session: bytes, login: str, algorithm: str, blob: bytes) -> bytes:
    """The same for any key's or certificate's blob."""
    head = String(session) + b"\x32" + String(login) + String("ssh-connection")
    return head + String("publickey") + b"\x01" + String(algorithm) + String(blob)


def sign(key: KeyFile, signed: bytes, algorithm: str) -> bytes:
    """Sign as an SSH client does."""
    return read_private_key(key.path).sign(signed, algorithm.encode())


class TestWhitelist:
    def test_users_and_their_lines(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile]
    ) -> None:
        assert set(authenticator.known_users()) == {"alice", "bob", "carol"}
        expected = [key.line.strip() for key in key_files.values()]
        assert list(authenticator.public_keys("alice"))[: len(expected)] == expected
        assert authenticator.public_keys("carol") == ()
        assert authenticator.public_keys("nobody") == ()

    def test_offer(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile], other_key: KeyFile
    ) -> None:
        assert authenticator.may_offer("alice", key_files["rsa"].line, address=ADDRESS)
        assert authenticator.may_offer(
            "alice", key_files["rsa"].line.rpartition(" ")[0], address=ADDRESS
        )
        assert authenticator.may_offer("bob", other_key.line, address=ADDRESS)
        assert not authenticator.may_offer("alice", other_key.line, address=ADDRESS)
        assert not authenticator.may_offer("nobody", other_key.line, address=ADDRESS)
        assert not authenticator.may_offer("bob", "no key", address=ADDRESS)

    @pytest.mark.parametrize(
        ("users", "message"),
        [
            ({"a/b": []}, "users['a/b']: a user name must not contain '/'"),
            ({"": []}, "users['']: a user name must not be empty"),
            ({1: []}, "users[1]: a user name is text, such as 'alice'"),
            ({"alice": "ssh-ed25519 AAAA"}, "users['alice']: must be a list of public keys"),
            ({"alice": None}, "users['alice']: must be a list of public keys"),
            ({"alice": [b"x"]}, "users['alice'][0]: a public key is text"),
            ({"alice": ["ssh-ed25519 AAAA"]}, "users['alice'][0]: the key is damaged"),
            ({"Alice": [], "alice": []}, "users['alice']: 'alice' is there twice"),
        ],
    )
    def test_mistake_is_one_line_that_names_it(self, users: Any, message: str) -> None:
        config = Config({"SSHKeyAuthenticator": {"users": users}})
        with pytest.raises(TraitError) as caught:
            SSHKeyAuthenticator(config=config)
        assert str(caught.value).startswith(f"c.SSHKeyAuthenticator.{message}")
        assert "\n" not in str(caught.value)

    def test_admin_needs_a_key(self, other_key: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
        config = Config()
        config.Authenticator.admin_users = {"Alice", "bob", "carol"}
        config.SSHKeyAuthenticator.users = {"bob": [other_key.line], "carol": []}
        with caplog.at_level(logging.WARNING):
            authenticator = SSHKeyAuthenticator(config=config, log=logging.getLogger("test"))
        assert authenticator.admin_users == {"alice", "bob", "carol"}
        assert set(authenticator.known_users()) == {"bob", "carol"}
        assert [record.args for record in caplog.records] == [("alice",), ("carol",)]
        assert (
            authenticator.verify_signature("alice", TEXT, other_key.sign(), address=ADDRESS) is None
        )

    def test_admin_name_of_a_wrong_shape(self) -> None:
        config = Config()
        config.Authenticator.admin_users = {"a b"}
        with pytest.raises(TraitError, match=r"^c\.Authenticator\.admin_users: .* white space"):
            SSHKeyAuthenticator(config=config)


class TestSignedText:
    @pytest.mark.parametrize("kind", KINDS)
    def test_real_ssh_keygen(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile], kind: str
    ) -> None:
        key = key_files[kind]
        proven = ProvenKey("alice", key.fingerprint)
        assert authenticator.verify_signature("alice", TEXT, key.sign(), address=ADDRESS) == proven
        assert (
            authenticator.verify_signature("alice", TEXT + b" ", key.sign(), address=ADDRESS)
            is None
        )

    @pytest.mark.parametrize("kind", ["sk-ed25519", "sk-ecdsa"])
    def test_hardware_key_must_have_been_touched(
        self, authenticator: SSHKeyAuthenticator, hardware_keys: dict[str, HardwareKey], kind: str
    ) -> None:
        key = hardware_keys[kind]
        touched = file_signature(key.blob, lambda signed: key.signature(signed, TOUCHED))
        not_touched = file_signature(key.blob, lambda signed: key.signature(signed, 0))
        fingerprint = parse_public_key(key.line).fingerprint
        proven = ProvenKey("alice", fingerprint)
        assert authenticator.verify_signature("alice", TEXT, touched, address=ADDRESS) == proven
        assert authenticator.verify_signature("alice", TEXT, not_touched, address=ADDRESS) is None

    @pytest.mark.parametrize("namespace", ["file", "git", "kworkspace2"])
    def test_other_namespace(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile], namespace: str
    ) -> None:
        signature = key_files["ed25519"].sign(namespace=namespace)
        assert authenticator.verify_signature("alice", TEXT, signature, address=ADDRESS) is None

    def test_sha1_does_not_count(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile]
    ) -> None:
        key = key_files["rsa"]
        blob = parse_public_key(key.line).blob
        for algorithm, counts in (("ssh-rsa", False), ("rsa-sha2-256", True)):

            def sign_so(signed: bytes, algorithm: str = algorithm) -> bytes:
                return sign(key, signed, algorithm)

            proven = authenticator.verify_signature(
                "alice", TEXT, file_signature(blob, sign_so), address=ADDRESS
            )
            assert (proven is not None) is counts

    def test_refusals_do_the_same_work(
        self,
        authenticator: SSHKeyAuthenticator,
        key_files: dict[str, KeyFile],
        other_key: KeyFile,
        verified: Counter[bytes],
    ) -> None:
        right = key_files["ed25519"].sign()
        wrong = other_key.sign()
        work = []
        for user, text, signature in (
            ("alice", TEXT, right),
            ("alice", TEXT + b"!", right),
            ("alice", TEXT, wrong),
            ("carol", TEXT, wrong),
            ("nobody", TEXT, wrong),
        ):
            verified.clear()
            proven = authenticator.verify_signature(user, text, signature, address=ADDRESS)
            assert (proven is not None) is ((text, signature) == (TEXT, right))
            work.append(list(verified.values()))
        assert work == [[1]] * 5

    @given(st.text() | st.binary().map(armor))
    def test_any_text_is_none(self, authenticator: SSHKeyAuthenticator, signature: str) -> None:
        assert authenticator.verify_signature("alice", TEXT, signature, address=ADDRESS) is None

    @given(st.data())
    def test_any_change_of_a_signature_is_none(
        self, authenticator: SSHKeyAuthenticator, data: st.DataObject
    ) -> None:
        key = parse_public_key(authenticator.public_keys("alice")[0])
        signature = file_signature(
            key.blob,
            lambda _: data.draw(st.binary(max_size=100)),
            namespace=data.draw(st.sampled_from([b"kworkspace", b"\xff", b""])),
        )
        assert authenticator.verify_signature("alice", TEXT, signature, address=ADDRESS) is None


class TestLogin:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_type(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile], kind: str
    ) -> None:
        key = key_files[kind]
        algorithms = RSA_SIGNATURES if kind == "rsa" else (key.line.split()[0],)
        for algorithm in algorithms:
            request = login_request(key.line, algorithm)
            signature = sign(key, request, algorithm)
            proven = authenticator.verify_login(
                "alice", "alice", key.line, request, signature, address=ADDRESS
            )
            assert proven == ProvenKey("alice", key.fingerprint)

    @pytest.mark.parametrize("kind", ["sk-ed25519", "sk-ecdsa"])
    def test_hardware_key_must_have_been_touched(
        self, authenticator: SSHKeyAuthenticator, hardware_keys: dict[str, HardwareKey], kind: str
    ) -> None:
        key = hardware_keys[kind]
        request = login_request(key.line, key.algorithm)
        for flags, counts in ((TOUCHED, True), (0, False), (5, True), (4, False)):
            signature = key.signature(request, flags)
            proven = authenticator.verify_login(
                "alice", "alice", key.line, request, signature, address=ADDRESS
            )
            assert (proven is not None) is counts

    def test_rsa_algorithms(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile]
    ) -> None:
        """The request's algorithm must fit the key and be the signature's (RFC 8332, 3.2)."""
        key = key_files["rsa"]
        for named, used in (
            ("ssh-rsa", "ssh-rsa"),
            ("rsa-sha2-256", "ssh-rsa"),
            ("rsa-sha2-256", "rsa-sha2-512"),
            ("ssh-ed25519", "rsa-sha2-256"),
        ):
            request = login_request(key.line, named)
            signature = sign(key, request, used)
            args = ("alice", "alice", key.line, request, signature)
            assert authenticator.verify_login(*args, address=ADDRESS) is None

    def test_login_is_bound(
        self, authenticator: SSHKeyAuthenticator, key_files: dict[str, KeyFile]
    ) -> None:
        key = key_files["ed25519"]

        def login(signed_for: str, login: str, actor: str = "alice") -> ProvenKey | None:
            request = login_request(key.line, "ssh-ed25519", signed_for)
            signature = sign(key, request, "ssh-ed25519")
            return authenticator.verify_login(
                actor, login, key.line, request, signature, address=ADDRESS
            )

        proven = ProvenKey("alice", key.fingerprint)
        assert login("alice+gpu", "alice+gpu") == proven
        assert login("alice=bob", "alice=bob") == proven
        assert login("Alice", "alice") == proven
        assert login("ali\u0301ce", "al\u00edce") == proven
        assert login("alice", "alice+gpu") is None
        assert login("alice", "alice=bob") is None
        assert login("alice=bob", "bob") is None
        assert login("alice", "alice", actor="bob") is None
        assert login("a/b", "a/b") is None

    def test_key_of_the_request_is_the_key(
        self,
        authenticator: SSHKeyAuthenticator,
        key_files: dict[str, KeyFile],
        other_key: KeyFile,
    ) -> None:
        """A stranger's true signature does not open what another key's line would."""
        mine, other = key_files["ed25519"], other_key
        for line, in_request in ((mine.line, other.line), (other.line, mine.line)):
            request = login_request(in_request, "ssh-ed25519")
            signature = sign(other, request, "ssh-ed25519")
            assert (
                authenticator.verify_login(
                    "alice", "alice", line, request, signature, address=ADDRESS
                )
                is None
            )

    def test_refusals_do_the_same_work(
        self,
        authenticator: SSHKeyAuthenticator,
        key_files: dict[str, KeyFile],
        other_key: KeyFile,
        verified: Counter[bytes],
    ) -> None:
        key = key_files["ed25519"]
        work = []
        for user, signer in (
            ("alice", key),
            ("alice", other_key),
            ("carol", key),
            ("nobody", key),
        ):
            for flaw in (b"", b"\1"):
                request = login_request(signer.line, "ssh-ed25519", user)
                signature = sign(signer, request + flaw, "ssh-ed25519")
                verified.clear()
                proven = authenticator.verify_login(
                    user, user, signer.line, request, signature, address=ADDRESS
                )
                assert (proven is not None) is ((user, signer, flaw) == ("alice", key, b""))
                work.append(list(verified.values()))
        assert work == [[1]] * 8

    @given(st.binary(), st.binary())
    def test_any_bytes_are_none(
        self, authenticator: SSHKeyAuthenticator, signed: bytes, signature: bytes
    ) -> None:
        line = authenticator.public_keys("alice")[0]
        request = login_request(line, "ssh-ed25519")
        for each in (signed, request, request + signed):
            assert (
                authenticator.verify_login("alice", "alice", line, each, signature, address=ADDRESS)
                is None
            )
