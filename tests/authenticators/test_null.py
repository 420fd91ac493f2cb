"""Nobody logs in; who an admin added may use the tokens that they were given."""

from collections.abc import Sequence

from asyncssh.public_key import read_private_key

from kworkspace.authenticators.null import NullAuthenticator
from tests.authenticators.conftest import TEXT, KeyFile
from tests.authenticators.test_ssh_key import login_request

HERE = "127.0.0.1"


class Enrolled:
    """A database that knows alice."""

    def key_lines(self, user: str) -> Sequence[str]:
        """Return no keys."""
        return ()

    def is_enrolled(self, user: str) -> bool:
        """Say that alice is."""
        return user == "alice"

    def is_admin(self, user: str) -> bool:
        """Say no."""
        return False


def test_no_key_opens_anything(other_key: KeyFile) -> None:
    null = NullAuthenticator(admin_users={"alice"})
    request = login_request(other_key.line, "ssh-ed25519")
    signature = read_private_key(other_key.path).sign(request, b"ssh-ed25519")
    login = ("alice", "alice", other_key.line, request, signature)
    assert not null.may_offer("alice", other_key.line, address=HERE)
    assert null.verify_signature("alice", TEXT, other_key.sign(), address=HERE) is None
    assert null.verify_login(*login, address=HERE) is None
    assert not null.is_good("alice", other_key.fingerprint)
    assert [*null.keys_of("alice"), *null.public_keys("alice")] == []


def test_tokens_of_enrolled_users_count() -> None:
    null = NullAuthenticator(records=Enrolled(), admin_users={"carol"})
    assert list(null.known_users()) == []
    assert [null.may_enter(name) for name in ("alice", "bob", "carol")] == [True, False, True]
