"""Where keys come from and when they hold: database, directory, certificates, clock, revocation."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncssh.public_key import SSHKey

from kworkspace.authenticators import watch
from kworkspace.authenticators.base import ListedKey, ProvenKey
from kworkspace.authenticators.directory import DirectoryUnusable
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from tests.authenticators.conftest import TEXT, KeyFile, certify
from tests.authenticators.test_directory import write

ADDRESS = "192.0.2.7"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Database:
    """Records that a test changes under the authenticator."""

    def __init__(self, **lines: list[str]) -> None:
        self.lines = lines
        self.admins: set[str] = set()

    def key_lines(self, user: str) -> Sequence[str]:
        """Return what is there now."""
        return list(self.lines.get(user, ()))

    def is_enrolled(self, user: str) -> bool:
        """Whether there is such a user."""
        return user in self.lines

    def is_admin(self, user: str) -> bool:
        """Whether they are an admin."""
        return user in self.admins


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def key(key_files: dict[str, KeyFile]) -> KeyFile:
    """alice's."""
    return key_files["ed25519"]


def prove(
    authenticator: SSHKeyAuthenticator, key: KeyFile, user: str = "alice", address: str = ADDRESS
) -> ProvenKey | None:
    """Sign in; an offer must say the same."""
    path = key.path
    line = path.read_text() if path.suffix == ".pub" else key.line
    proven = authenticator.verify_signature(user, TEXT, key.sign(), address=address)
    assert authenticator.may_offer(user, line, address=address) is (proven is not None)
    return proven


class TestDatabase:
    def test_key_counts_as_long_as_its_row(self, key: KeyFile, other_key: KeyFile) -> None:
        database = Database(alice=[key.line])
        authenticator = SSHKeyAuthenticator(records=database)
        proven = ProvenKey("alice", key.fingerprint)
        assert prove(authenticator, key) == proven
        assert prove(authenticator, other_key) is None
        assert authenticator.is_good("alice", key.fingerprint)
        database.lines["alice"] = [other_key.line]
        assert prove(authenticator, key) is None
        assert not authenticator.is_good("alice", key.fingerprint)
        assert authenticator.is_good("alice", other_key.fingerprint)
        del database.lines["alice"]
        assert prove(authenticator, other_key) is None
        database.lines["alice"] = [key.line]
        assert prove(authenticator, key) == proven

    def test_key_is_its_users_alone(self, key: KeyFile) -> None:
        authenticator = SSHKeyAuthenticator(records=Database(alice=[], bob=[key.line]))
        assert prove(authenticator, key) is None
        assert not authenticator.is_good("alice", key.fingerprint)
        assert prove(authenticator, key, "bob") is not None

    def test_ten_thousand_keys(self, key: KeyFile, other_key: KeyFile) -> None:
        """They are parsed once, whoever has how many."""
        blobs = (f'from="192.0.2.7" {key.line.strip()} {number}' for number in range(9_999))
        database = Database(alice=[*blobs, other_key.line])
        authenticator = SSHKeyAuthenticator(records=database)
        assert prove(authenticator, other_key) is not None
        assert prove(authenticator, key, address="192.0.2.8") is None
        first = authenticator._lines.keys("alice", database.key_lines("alice"))
        assert authenticator._lines.keys("alice", database.key_lines("alice")) is first
        assert len(authenticator.keys_of("alice")) == 10_000

    def test_admin_of_the_database(self, key: KeyFile) -> None:
        database = Database(alice=[key.line])
        authenticator = SSHKeyAuthenticator(records=database, allowed_users={"bob"})
        assert prove(authenticator, key) is None
        database.admins.add("alice")
        assert prove(authenticator, key) is not None


class TestConditions:
    def test_from_everywhere_that_a_key_is_asked_about(self, key: KeyFile, clock: Clock) -> None:
        line = f'from="192.0.2.0/24,!192.0.2.66",expiry-time="203001011300Z" {key.line}'
        for source in ("configuration", "database"):
            users = {"alice": [line] if source == "configuration" else []}
            database = Database(alice=[line] if source == "database" else [])
            authenticator = SSHKeyAuthenticator(users=users, records=database, clock=clock)
            clock.now = NOON
            proven = ProvenKey("alice", key.fingerprint, NOON + HOUR)
            assert prove(authenticator, key) == proven
            assert prove(authenticator, key, address="::ffff:192.0.2.7") == proven
            assert prove(authenticator, key, address="192.0.2.66") is None
            assert prove(authenticator, key, address="198.51.100.1") is None
            assert prove(authenticator, key, address="") is None
            assert authenticator.public_keys("alice") == ()
            assert authenticator.is_good("alice", key.fingerprint)
            clock.now = NOON + HOUR + timedelta(seconds=1)
            assert prove(authenticator, key) is None
            assert not authenticator.is_good("alice", key.fingerprint)

    def test_clock_that_jumps(self, key: KeyFile, clock: Clock) -> None:
        """What counts is what the clock says at the look-up, there and back."""
        line = f'expiry-time="203001011300Z" {key.line}'
        authenticator = SSHKeyAuthenticator(users={"alice": [line]}, clock=clock)
        for hours, counts in ((0, True), (24 * 365, False), (-24 * 365, True), (2, False)):
            clock.now = NOON + hours * HOUR
            assert (prove(authenticator, key) is not None) is counts

    def test_best_of_a_keys_lines_counts(self, key: KeyFile, clock: Clock) -> None:
        lines = [
            f'expiry-time="203001011300Z" {key.line}',
            f'expiry-time="203001011400Z" {key.line}',
            f'from="198.51.100.1" {key.line}',
        ]
        authenticator = SSHKeyAuthenticator(users={"alice": lines}, clock=clock)
        assert prove(authenticator, key) == ProvenKey("alice", key.fingerprint, NOON + 2 * HOUR)
        elsewhere = prove(authenticator, key, address="198.51.100.1")
        assert elsewhere == ProvenKey("alice", key.fingerprint)
        clock.now = NOON + 3 * HOUR
        assert prove(authenticator, key) is None
        assert prove(authenticator, key, address="198.51.100.1") is not None

    def test_lists(self, key: KeyFile, other_key: KeyFile) -> None:
        line = f'from="192.0.2.7" {key.line.strip()}'
        database = Database(alice=[f'expiry-time="20400101Z" {other_key.line}'])
        authenticator = SSHKeyAuthenticator(users={"alice": [line]}, records=database)
        bare = [parse_public_key(each.line).bare_line for each in (key, other_key)]
        assert authenticator.keys_of("alice") == [
            ListedKey(
                line=bare[0],
                fingerprint=key.fingerprint,
                comment="alice@laptop",
                options='from="192.0.2.7"',
                source="configuration",
                expires=None,
            ),
            ListedKey(
                line=bare[1],
                fingerprint=other_key.fingerprint,
                comment="alice@laptop",
                options='expiry-time="20400101Z"',
                source="database",
                expires=datetime(2040, 1, 1, tzinfo=UTC),
            ),
        ]
        assert authenticator.keys_of("nobody") == []

    def test_keys_without_conditions_open_the_workspace(
        self, key: KeyFile, other_key: KeyFile
    ) -> None:
        lines = [f'from="192.0.2.7" {key.line}', other_key.line]
        database = Database(alice=[key.line])
        authenticator = SSHKeyAuthenticator(users={"alice": lines}, records=database)
        expected = {each.line.strip() for each in (key, other_key)}
        assert set(authenticator.public_keys("alice")) == expected
        blocked = SSHKeyAuthenticator(users={"alice": lines}, blocked_users={"alice"})
        assert blocked.public_keys("alice") == ()


class TestWhoMayEnter:
    @pytest.mark.parametrize(
        ("options", "counts"),
        [
            ({}, True),
            ({"blocked_users": {"alice"}}, False),
            ({"blocked_users": {"alice"}, "admin_users": {"alice"}, "allow_all": True}, False),
            ({"allowed_users": {"bob"}}, False),
            ({"allowed_users": {"bob", "Alice"}}, True),
            ({"allowed_users": {"bob"}, "admin_users": {"alice"}}, True),
            ({"allowed_users": {"bob"}, "allow_all": True}, True),
        ],
    )
    def test_lists(self, key: KeyFile, options: dict[str, Any], counts: bool) -> None:
        authenticator = SSHKeyAuthenticator(users={"alice": [key.line]}, **options)
        assert (prove(authenticator, key) is not None) is counts
        assert authenticator.is_good("alice", key.fingerprint) is counts

    @pytest.mark.parametrize("address", ["192.0.2.7", "198.51.100.1"])
    def test_from_counts_where_an_address_is_told(self, key: KeyFile, address: str) -> None:
        """One line of several is enough."""
        lines = [f'from="192.0.2.0/24" {key.line}']
        authenticator = SSHKeyAuthenticator(users={"alice": lines})
        assert authenticator.is_good("alice", key.fingerprint)
        allowed = address.startswith("192.0.2.")
        assert authenticator.is_good("alice", key.fingerprint, address=address) is allowed
        either = SSHKeyAuthenticator(users={"alice": lines}, records=Database(alice=[key.line]))
        assert either.is_good("alice", key.fingerprint, address=address)


class TestRevoked:
    @pytest.mark.parametrize("as_line", [True, False])
    def test_key_counts_nowhere(self, key: KeyFile, as_line: bool) -> None:
        revoked = key.line if as_line else key.fingerprint
        authenticator = SSHKeyAuthenticator(
            users={"alice": [key.line]}, records=Database(alice=[key.line]), revoked_keys=[revoked]
        )
        assert prove(authenticator, key) is None
        assert not authenticator.is_good("alice", key.fingerprint)
        assert authenticator.public_keys("alice") == ()
        assert len(authenticator.keys_of("alice")) == 2


class TestCertificates:
    def issue(
        self, authority: KeyFile, key: KeyFile, *options: str, principals: str = "alice"
    ) -> KeyFile:
        """A certificate to sign with, as ssh-keygen does when it is given the file's name."""
        public = key.path.with_suffix(".pub")
        validity = () if "-V" in options else ("-V", "20300101000000Z:20300102000000Z")
        return KeyFile(certify(authority.path, public, *validity, *options, principals=principals))

    def trusting(self, authority: KeyFile, clock: Clock, **options: Any) -> SSHKeyAuthenticator:
        """An authenticator that knows alice and bob, and trusts the CA."""
        return SSHKeyAuthenticator(
            users={"alice": [], "bob": []},
            user_authorities=[authority.line],
            clock=clock,
            **options,
        )

    def test_it_is_good_for_its_principals(
        self, authority: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        certificate = self.issue(authority, new_key, principals="carol,alice")
        authenticator = self.trusting(authority, clock)
        fingerprint = f"CA {authority.fingerprint}"
        proven = ProvenKey("alice", fingerprint, datetime(2030, 1, 2, tzinfo=UTC))
        assert prove(authenticator, certificate) == proven
        assert prove(authenticator, certificate, "bob") is None
        assert prove(authenticator, certificate, "carol") is None
        assert prove(authenticator, new_key) is None
        assert authenticator.is_good("alice", fingerprint)
        assert not authenticator.is_good("carol", fingerprint)
        assert not authenticator.is_good("alice", authority.fingerprint)
        assert not authenticator.is_good("alice", f"CA {new_key.fingerprint}")

    def test_it_vouches_for_people_whom_nobody_listed(
        self, authority: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        certificate = self.issue(authority, new_key, principals="carol")
        authenticator = self.trusting(authority, clock, allow_all=True)
        assert prove(authenticator, certificate, "carol") is not None
        assert prove(authenticator, certificate, "alice") is None

    def test_dates(self, authority: KeyFile, new_key: KeyFile, clock: Clock) -> None:
        certificate = self.issue(authority, new_key)
        authenticator = self.trusting(authority, clock)
        for days, counts in ((-1, False), (0, True), (1, False)):
            clock.now = NOON + timedelta(days=days)
            assert (prove(authenticator, certificate) is not None) is counts

    @pytest.mark.parametrize(
        ("options", "counts"),
        [
            (("-O", "source-address=192.0.2.0/24"), True),
            (("-O", "source-address=198.51.100.0/24"), False),
            (("-O", "force-command=true"), False),
            (("-O", "critical:other@example.org=x"), False),
            (("-O", "extension:other@example.org=x"), True),
            (("-O", "clear"), True),
        ],
    )
    def test_options(
        self,
        authority: KeyFile,
        new_key: KeyFile,
        clock: Clock,
        options: tuple[str, ...],
        counts: bool,
    ) -> None:
        certificate = self.issue(authority, new_key, *options)
        proven = prove(self.trusting(authority, clock), certificate)
        assert (proven is not None) is counts

    def test_no_principal_is_nobody(
        self, authority: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        certificate = self.issue(authority, new_key, principals="")
        assert prove(self.trusting(authority, clock), certificate) is None

    def test_hosts_certificate(self, authority: KeyFile, new_key: KeyFile, clock: Clock) -> None:
        certificate = self.issue(authority, new_key, "-h")
        line = certificate.path.read_text()
        authenticator = self.trusting(authority, clock)
        assert not authenticator.may_offer("alice", line, address=ADDRESS)

    def test_other_authority(
        self, authority: KeyFile, other_key: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        """A key of the user's is no authority, and one that signed itself is none."""
        authenticator = SSHKeyAuthenticator(
            users={"alice": [other_key.line]}, user_authorities=[authority.line], clock=clock
        )
        assert prove(authenticator, self.issue(other_key, new_key)) is None
        assert prove(authenticator, self.issue(new_key, new_key)) is None

    def test_listed_key_does_not_carry_its_certificate(
        self, authority: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        """As in sshd, a certificate is judged as one, whatever else its key may do."""
        certificate = self.issue(authority, new_key, principals="bob")
        authenticator = SSHKeyAuthenticator(users={"alice": [new_key.line]}, clock=clock)
        assert prove(authenticator, new_key) is not None
        assert prove(authenticator, certificate) is None

    @pytest.mark.parametrize("which", ["key", "authority"])
    def test_revoked(self, authority: KeyFile, new_key: KeyFile, clock: Clock, which: str) -> None:
        certificate = self.issue(authority, new_key)
        revoked = new_key if which == "key" else authority
        authenticator = self.trusting(authority, clock, revoked_keys=[revoked.fingerprint])
        assert prove(authenticator, certificate) is None
        of_authority = authenticator.is_good("alice", f"CA {authority.fingerprint}")
        assert of_authority is (which == "key")

    def test_refusals_do_the_same_work(
        self,
        authority: KeyFile,
        other_key: KeyFile,
        new_key: KeyFile,
        clock: Clock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Whoever is asked about: one signature of the CA, one of the key."""
        work: list[bytes] = []
        verify = SSHKey.verify

        def count(self: SSHKey, data: bytes, sig: bytes) -> bool:
            work.append(self.public_data)
            return verify(self, data, sig)

        monkeypatch.setattr(SSHKey, "verify", count)
        for signer in (authority, other_key):
            signature = self.issue(signer, new_key).sign()
            for name in ("alice", "bob", "nobody"):
                for text in (TEXT, b"other"):
                    work.clear()
                    authenticator = self.trusting(authority, clock)
                    proven = authenticator.verify_signature(name, text, signature, address=ADDRESS)
                    right = (signer, name, text) == (authority, "alice", TEXT)
                    assert (proven is not None) is right
                    expected = [parse_public_key(key.line).blob for key in (signer, new_key)]
                    assert work == expected

    def test_authorities_in_a_file(
        self, authority: KeyFile, new_key: KeyFile, clock: Clock
    ) -> None:
        file = str(authority.path.with_suffix(".pub"))
        authenticator = SSHKeyAuthenticator(users={"alice": []}, user_authorities=file, clock=clock)
        assert prove(authenticator, self.issue(authority, new_key)) is not None


class TestDirectory:
    async def test_key_comes_and_goes(
        self, tmp_path: Path, key: KeyFile, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
        folder = tmp_path / "keys"
        folder.mkdir(mode=0o755)
        write(folder / "alice", "")
        authenticator = SSHKeyAuthenticator(
            users={"bob": []}, authorized_keys_dir=str(folder), admin_users={"alice"}
        )
        changes: asyncio.Queue[set[str]] = asyncio.Queue()
        await authenticator.open(lambda users: changes.put_nowait(set(users)))
        try:
            assert set(authenticator.known_users()) == {"alice", "bob"}
            assert prove(authenticator, key) is None
            write(folder / "alice", f'from="192.0.2.7" {key.line}')
            async with asyncio.timeout(20):
                assert await changes.get() == {"alice"}
            assert prove(authenticator, key) == ProvenKey("alice", key.fingerprint)
            assert prove(authenticator, key, address="192.0.2.8") is None
            (listed,) = authenticator.keys_of("alice")
            assert (listed.source, listed.options) == ("directory", 'from="192.0.2.7"')
            (folder / "alice").unlink()
            async with asyncio.timeout(20):
                assert await changes.get() == {"alice"}
            assert prove(authenticator, key) is None
            assert not authenticator.is_good("alice", key.fingerprint)
            assert set(authenticator.known_users()) == {"bob"}
        finally:
            await authenticator.aclose()

    async def test_it_must_be_there(self, tmp_path: Path) -> None:
        authenticator = SSHKeyAuthenticator(authorized_keys_dir=str(tmp_path / "none"))
        option = r"^c\.SSHKeyAuthenticator\.authorized_keys_dir: "
        with pytest.raises(
            DirectoryUnusable, match=f"{option}{tmp_path}/none: .* be read: No such"
        ):
            await authenticator.open(lambda users: None)
        await authenticator.aclose()

    async def test_without_one_there_is_nothing_to_watch(self) -> None:
        authenticator = SSHKeyAuthenticator()
        await authenticator.open(lambda users: None)
        await authenticator.aclose()
