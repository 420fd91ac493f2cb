"""The authorities: certificates as narrow as can be, keys that stay their owner's."""

import asyncio
import logging
import os
import subprocess
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import asyncssh
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import BadRequest, KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.ca import (
    WORKSPACE_CERTIFICATE_LIFE,
    WORKSPACE_CERTIFICATE_PERIOD,
    DoorKey,
    HostAuthority,
    UserAuthority,
)
from kworkspace.hub.key_ring import SETTLE, KeyRing, write_ring
from tests.hub.clock import Clock
from tests.hub.conftest import KeyFile


def test_key_is_made_once_and_only_for_its_owner(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "user_ca"
    first = UserAuthority.load(file, clock)
    assert file.stat().st_mode & 0o777 == 0o600
    assert UserAuthority.load(file, clock).public_keys() == first.public_keys()
    [line] = first.public_keys()
    assert line.startswith("ssh-ed25519 ")


def test_file_that_is_no_key(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "user_ca"
    file.write_text("nonsense")
    file.chmod(0o600)
    with pytest.raises(KworkspaceError, match="user_ca is not a usable private key"):
        UserAuthority.load(file, clock)


@pytest.mark.parametrize("x11", [False, True])
def test_certificate(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile], *, x11: bool) -> None:
    """As OpenSSH reads it."""
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    file = tmp_path / "certificate"
    file.write_text(
        authority.issue(
            public_key=keys["ed25519"].line,
            principal="uuid",
            key_id="whose",
            sources=["192.0.2.1"],
            x11=x11,
        )
    )
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(file)],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(shown.split())
    assert "ssh-ed25519-cert-v01@openssh.com user certificate" in words
    assert ("permit-X11-forwarding" in words) is x11
    assert 'Key ID: "whose"' in words
    assert "Valid: from 2030-01-02T03:03:05 to 2030-01-02T03:09:05" in words
    assert "Principals: uuid Critical Options: source-address 192.0.2.1/32 Extensions" in words
    assert "permit-pty" in words
    (tmp_path / "authority.pub").write_text(authority.public_keys()[0])
    fingerprint = asyncssh.read_public_key(tmp_path / "authority.pub").get_fingerprint()
    assert f"Signing CA: ED25519 {fingerprint}" in words


@pytest.mark.parametrize("line", ["", "nonsense", "ssh-ed25519 AAAA", "ssh-ed25519 \n x"])
def test_public_key_that_is_none(tmp_path: Path, clock: Clock, line: str) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    with pytest.raises(BadRequest, match="public_key: not an OpenSSH public key"):
        authority.issue(public_key=line, principal="uuid", key_id="whose", sources=["192.0.2.1"])


def test_door_key(tmp_path: Path) -> None:
    """Only the gateway's own signature over this very session vouches for it."""
    file = tmp_path / "gateway_host_key"
    key = DoorKey.load(file)
    assert file.stat().st_mode & 0o777 == 0o600
    private = asyncssh.read_private_key(file)
    assert DoorKey.load(file).public_key == key.public_key
    good = private.sign(door_text(b"session"), b"ssh-ed25519")
    assert key.signed(b"session", good)
    other = asyncssh.generate_private_key("ssh-ed25519")
    for session, signature in (
        (b"another", good),
        (b"session", other.sign(door_text(b"session"), b"ssh-ed25519")),
        (b"session", private.sign(b"session", b"ssh-ed25519")),
        (b"session", b""),
        (b"session", b"\0\0\0\x0bssh-ed25519"),
        (b"", good),
    ):
        assert not key.signed(session, signature)


def test_sources(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    line = authority.issue(
        public_key=keys["ed25519"].line,
        principal="uuid",
        key_id="whose",
        sources=["127.0.0.1", "::1", "192.0.2.0/28"],
    )
    (tmp_path / "cert.pub").write_text(line)
    command = ["ssh-keygen", "-L", "-f", str(tmp_path / "cert.pub")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = shown.split("source-address ")[1].split()[0]
    assert found == "127.0.0.1/32,::1/128,192.0.2.0/28"


def test_session_key_is_modern(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    authority = UserAuthority.load(tmp_path / "user_ca", clock)
    with pytest.raises(BadRequest, match="public_key: a session's key is an ssh-ed25519 one"):
        authority.issue(
            public_key=keys["rsa"].line, principal="uuid", key_id="whose", sources=["::1"]
        )


def test_host_certificate(tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]) -> None:
    """As OpenSSH reads it."""
    authority = HostAuthority.load(tmp_path / "host_ca", clock)
    (tmp_path / "certificate").write_text(
        authority.issue(
            public_key=keys["ed25519"].line, principals=["hub.example", "::1"], key_id="whose"
        )
    )
    shown = subprocess.run(
        ["ssh-keygen", "-L", "-f", str(tmp_path / "certificate")],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(shown.split())
    assert "ssh-ed25519-cert-v01@openssh.com host certificate" in words
    assert "Valid: from 2030-01-02T03:03:05 to 2030-02-01T03:04:05" in words
    assert "Principals: hub.example ::1 Critical Options: (none) Extensions: (none)" in words


def test_workspaces_certificate_has_no_name_but_its_own(
    tmp_path: Path, clock: Clock, keys: dict[str, KeyFile]
) -> None:
    """Its owner may be root there, and read the key."""
    line = HostAuthority.load(tmp_path / "host_ca", clock).certify_workspace(
        "the-uuid", keys["ed25519"].line
    )
    certificate = asyncssh.import_certificate(line)
    assert isinstance(certificate, SSHOpenSSHCertificate)
    assert certificate.principals == ["the-uuid"]


@pytest.mark.parametrize("id", ["one", "two"])
def test_workspaces_certificate_is_renewed_long_before_it_ends(
    tmp_path: Path, clock: Clock, id: str
) -> None:
    """Once in each period, wherever that begins."""
    hub = HostAuthority.load(tmp_path / "host_ca", clock)
    marks = [hub.workspace_mark(id)]
    days = WORKSPACE_CERTIFICATE_PERIOD.days
    for _ in range(3 * days):
        clock.advance(86400)
        marks.append(hub.workspace_mark(id))
    changes = [day for day, (one, other) in enumerate(pairwise(marks)) if one != other]
    assert [later - earlier for earlier, later in pairwise(changes)] == [days, days]
    assert len(set(marks)) == 4
    assert WORKSPACE_CERTIFICATE_LIFE > 2 * WORKSPACE_CERTIFICATE_PERIOD


DAY = timedelta(days=1)


class Rotating:
    """An authority, its file, and a hub that reads it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.file, self.clock = folder / "host_ca", clock
        HostAuthority.load(self.file, clock)
        self.names: dict[str, str] = {}
        self.ring = self.read()
        self.hub = self.another_hub()
        clock.advance(3600)

    def read(self) -> KeyRing:
        ring = KeyRing.parse(self.file.read_text())
        for one in ring.keys:
            self.names.setdefault(one.line, "abc"[len(self.names)])
        return ring

    def another_hub(self) -> HostAuthority:
        return HostAuthority(
            ring=self.read(), clock=self.clock, file=self.file, seconds=self.clock.seconds
        )

    def rotate(self, overlap: timedelta) -> None:
        rotated = self.read().rotated("new", self.clock(), overlap)
        write_ring(self.file, rotated, self.file.with_suffix(".next"))
        self.read()

    def signer(self, hub: HostAuthority) -> str:
        """Return which key signs at a hub; whatever signs must be trusted there."""
        key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        line = hub.issue(public_key=key, principals=["x"], key_id="x")
        certificate = asyncssh.import_certificate(line)
        assert isinstance(certificate, SSHOpenSSHCertificate)
        signer = certificate.signing_key.export_public_key().decode().split()[1]
        [found] = [known for known in hub.public_keys() if known.split()[1] == signer]
        fingerprint = asyncssh.import_public_key(found).get_fingerprint()
        assert hub.workspace_mark("x").startswith(fingerprint)
        return self.names[found]

    def trusted(self, hub: HostAuthority) -> str:
        return "".join(self.names[line] for line in hub.public_keys())


def test_rotation_in_a_running_hub(tmp_path: Path, clock: Clock) -> None:
    it = Rotating(tmp_path, clock)
    it.rotate(DAY)
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("a", "a"), "it has not looked yet"
    it.hub.reload()
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("ab", "a")
    clock.advance(SETTLE.total_seconds())
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("ab", "b")
    clock.advance((DAY - SETTLE).total_seconds() - 1)
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("ab", "b")
    clock.advance(1)
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("b", "b")
    assert it.hub.origin == it.ring.origin


def test_a_hub_that_hears_late(tmp_path: Path, clock: Clock) -> None:
    """Nothing that runs knows the new key yet: a key that is known signs until it does."""
    it = Rotating(tmp_path, clock)
    it.rotate(DAY)
    clock.advance(2 * SETTLE.total_seconds())
    it.hub.reload()
    late = it.another_hub()
    for hub in (it.hub, late):
        assert (it.trusted(hub), it.signer(hub)) == ("ab", "a")
    clock.advance(SETTLE.total_seconds())
    for hub in (it.hub, late):
        assert it.signer(hub) == "b"
    clock.advance(DAY.total_seconds())
    assert it.signer(it.another_hub()) == "b", "there is no other"


def test_a_stolen_key_signs_and_counts_no_more(tmp_path: Path, clock: Clock) -> None:
    it = Rotating(tmp_path, clock)
    it.rotate(timedelta(0))
    it.hub.reload()
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("b", "b")


@pytest.mark.parametrize("text", [None, "nonsense", ""])
def test_a_file_that_is_broken_meanwhile(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    """It is said once; the hub goes on, and takes up what is mended."""
    it = Rotating(tmp_path, clock)
    it.rotate(DAY)
    good = it.file.read_text()
    it.file.unlink() if text is None else it.file.write_text(text)
    with caplog.at_level(logging.ERROR):
        it.hub.reload()
        it.hub.reload()
    [record] = caplog.records
    assert "host_ca" in record.getMessage()
    assert (it.trusted(it.hub), it.signer(it.hub)) == ("a", "a")
    it.file.touch(mode=0o600)
    it.file.write_text(good)
    it.hub.reload()
    assert it.trusted(it.hub) == "ab"


async def test_changes_are_told(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is put into the file, and what only time brings; nothing else."""
    monkeypatch.setattr("kworkspace.hub.ca.LOOK_SECONDS", 0.001)
    it, looks = Rotating(tmp_path, clock), asyncio.Condition()
    told: list[str] = []
    count, reload = 0, it.hub.reload
    loop = asyncio.get_running_loop()

    async def note() -> None:
        nonlocal count
        async with looks:
            count += 1
            looks.notify_all()

    def counted() -> None:
        reload()
        asyncio.run_coroutine_threadsafe(note(), loop).result()

    async def looked() -> None:
        async with looks:
            enough = count + 3
            await looks.wait_for(lambda: count >= enough)

    monkeypatch.setattr(it.hub, "reload", counted)
    tasks = Tasks()
    tasks.spawn(it.hub.keep(lambda: told.append(it.trusted(it.hub))), "keep")
    await looked()
    assert told == []
    it.rotate(DAY)
    await looked()
    assert told == ["ab"]
    clock.advance(DAY.total_seconds())
    await looked()
    assert told == ["ab", "b"]
    await tasks.aclose()
