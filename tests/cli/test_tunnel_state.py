"""What is kept of a workspace: the hub's last word, and whom ssh is to expect there."""

from pathlib import Path

import msgspec
import pytest

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.settings import Settings
from kworkspace.cli.tunnel_state import Known, KnownTunnel

SAID = Known(
    url="https://hub.example/gateway/tunnel/alice",
    id="the-uuid",
    host_key="ssh-ed25519 AAAA a comment",
    host_authorities=("ssh-ed25519 BBBB kworkspace host authority", "{}"),
    account="alice",
)


def files(folder: Path, user: str = "alice", name: str = "") -> KnownTunnel:
    """Return the files of a workspace of alice."""
    settings = Settings(api="https://hub.example", user=user, state_dir=folder)
    return KnownTunnel(settings, "alice", name)


def test_whom_to_expect(tmp_path: Path) -> None:
    """By either, whatever ssh calls it; and without what could be a line of its own."""
    kept = files(tmp_path).keep(SAID)
    assert kept == files(tmp_path).load()
    known_hosts = files(tmp_path).known_hosts
    assert known_hosts.read_text() == "* ssh-ed25519 AAAA\n@cert-authority * ssh-ed25519 BBBB\n"
    changed = msgspec.structs.replace(
        SAID, host_key="ssh-ed25519 CCCC\n@cert-authority * x", host_authorities=("x YYYY",)
    )
    files(tmp_path).keep(changed)
    assert known_hosts.read_text() == "* ssh-ed25519 CCCC\n@cert-authority * x YYYY\n"


def test_what_the_hub_does_not_say_stays(tmp_path: Path) -> None:
    """As of a workspace that is stopped; a known_hosts file that is gone is made again."""
    before = files(tmp_path).keep(SAID)
    files(tmp_path).known_hosts.unlink()
    stopped = Known(url="https://hub.example/other", id="the-uuid")
    kept = files(tmp_path).keep(stopped)
    assert kept == msgspec.structs.replace(before, url="https://hub.example/other")
    assert files(tmp_path).known_hosts.exists()


def test_one_that_has_not_run(tmp_path: Path) -> None:
    kept = files(tmp_path).keep(Known(url="https://hub.example/x", id="the-uuid"))
    assert (kept.account, kept.host_key) == ("", "")
    assert files(tmp_path).load() == kept
    assert not files(tmp_path).known_hosts.exists()


def test_what_is_no_host_key(tmp_path: Path) -> None:
    with pytest.raises(HubUnreachable, match="names no host key"):
        files(tmp_path).keep(msgspec.structs.replace(SAID, host_key="{}"))
    assert files(tmp_path).load() is None


def test_each_has_files_of_its_own(tmp_path: Path) -> None:
    """Each workspace, and each person of a computer who enters it."""
    all = [files(tmp_path), files(tmp_path, name="gpu"), files(tmp_path, user="ada")]
    assert len({(each.folder, each.known_hosts) for each in all}) == 3
