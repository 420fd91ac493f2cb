"""Signing in with real keys and a real agent; the kept token, its renewal and its end."""

import json
import os
import pty
import select
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.keys import identity, named_key

if TYPE_CHECKING:
    from tests.cli.conftest import Authority, Result, Serve
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]
    NewKey = Callable[..., str]


def token_file(home: Path) -> Path:
    """The one token that is kept."""
    (file,) = (home / ".local/state/kworkspace/tokens").iterdir()
    return file


def keep(home: Path, **changes: object) -> None:
    """Change the kept token."""
    file = token_file(home)
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_each_kind_of_key(
    kind: str, hub: "Hub", alice: Path, new_key: "NewKey", kworkspace: "Run"
) -> None:
    alice.unlink()
    alice.with_suffix(".pub").unlink()
    hub.users["alice"] = [new_key(alice.with_name(f"id_{kind}"), kind)]
    result = kworkspace("login")
    assert result.code == 0, result.err
    assert f"signed in with ~/.ssh/id_{kind} " in result.out
    assert "(token good for 1 h)" in result.out
    assert result.err == ""


def certify(hub: "Hub", alice: Path) -> Path:
    """Have the hub accept no key of alice's but what a CA has signed for her."""
    authority = alice.with_name("ca")
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(authority)]
    subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "alice", "-n", "x"]
    subprocess.run([*sign, str(alice.with_suffix(".pub"))], check=True)
    # The stand-in verifies with `ssh-keygen -Y verify`, as user `x`.
    hub.users["alice"] = [f"cert-authority {authority.with_suffix('.pub').read_text()}"]
    return alice.with_name(f"{alice.name}-cert.pub")


@pytest.mark.parametrize("named", ["", "id_ed25519", "id_ed25519.pub", "id_ed25519-cert.pub"])
def test_certificate_beside_the_key(
    named: str, hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    """It is tried as ssh tries it, whichever of the files a setting names."""
    certificate = certify(hub, alice)
    options = ["--ssh-key-path", str(alice.with_name(named))] if named else []
    result = kworkspace("login", *options)
    assert result.code == 0, result.err
    assert "signed in with ~/.ssh/id_ed25519-cert.pub" in result.out
    stored = Path(json.loads(token_file(home).read_text())["key"])
    assert stored == certificate
    assert identity(stored) == alice
    assert named_key(certificate).path == alice


def test_certificate_in_the_agent(
    hub: "Hub",
    home: Path,
    alice: Path,
    agent: Callable[[Path, str], None],
    kworkspace: "Run",
) -> None:
    """Its key is nowhere else."""
    certificate = certify(hub, alice)
    agent(alice, "")
    for path in (alice, alice.with_suffix(".pub"), certificate):
        path.unlink()
    result = kworkspace("login")
    assert result.code == 0, result.err
    assert "(agent)" in result.out
    stored = Path(json.loads(token_file(home).read_text())["key"])
    assert stored.read_text().startswith("ssh-ed25519-cert-v01@openssh.com ")
    assert identity(stored) == stored


def test_the_token_is_kept_private_and_used(
    hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    for _ in range(3):
        assert kworkspace("whoami").code == 0
    assert hub.sign_ins() == 1
    file = token_file(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for folder in (file.parent, file.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_one_token_for_each_user_and_hub(
    hub: "Hub", serve: "Serve", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    hub.users["bob"] = hub.users["alice"]
    other = serve()
    other.users["alice"] = hub.users["alice"]
    assert kworkspace("whoami").out.startswith(f"alice at {hub.url}")
    assert kworkspace("whoami", "--user", "bob").out.startswith(f"bob at {hub.url}")
    assert kworkspace("whoami", "--api", other.url).out.startswith(f"alice at {other.url}")
    assert len(list((home / ".local/state/kworkspace/tokens").iterdir())) == 3


def test_a_key_that_is_named_is_the_one_that_signs(
    hub: "Hub", home: Path, alice: Path, new_key: "NewKey", kworkspace: "Run"
) -> None:
    """Whatever key the token that is kept was got with."""
    new_key(home / "other")
    assert kworkspace("whoami").code == 0
    refused = kworkspace("whoami", "--ssh-key-path", str(home / "other"))
    assert "the hub does not accept ~/other for user alice" in refused.err
    before = hub.sign_ins()
    assert kworkspace("whoami", "--ssh-key-path", str(alice)).code == 0
    assert hub.sign_ins() == before


def test_login_always_signs_in(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    assert kworkspace("login").code == kworkspace("login").code == 0
    assert hub.sign_ins() == 2


@pytest.mark.parametrize("remaining", [-5, 30])
def test_an_expired_token_is_renewed(
    remaining: int, hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    keep(home, expires_at=time.time() + remaining)
    result = kworkspace("status")
    assert (result.code, result.err) == (0, "")
    assert hub.sign_ins() == 2
    assert hub.asked("GET /hub/api/users/alice") == 1


def test_a_token_that_never_expires(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.token_seconds = None
    kworkspace("login")
    result = kworkspace("whoami", "-o", "json")
    assert json.loads(result.out)["expires_in"] is None
    assert hub.sign_ins() == 1


def test_a_token_that_the_hub_forgot_is_renewed(
    hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    hub.tokens.clear()
    result = kworkspace("status")
    assert (result.code, result.err) == (0, "")
    assert hub.sign_ins() == 2
    assert json.loads(token_file(home).read_text())["token"] in hub.tokens


def test_a_token_that_others_could_read_is_not_used(
    hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    token_file(home).chmod(0o644)
    result = kworkspace("status")
    assert result.code == 0
    assert "was open to others; its token is not used any more" in result.err
    assert hub.sign_ins() == 2
    assert stat.S_IMODE(token_file(home).stat().st_mode) == 0o600


def test_a_link_in_place_of_the_token_is_replaced(
    hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    file = token_file(home)
    file.rename(home / "elsewhere")
    file.symlink_to(home / "elsewhere")
    assert kworkspace("status").code == 0
    assert not file.is_symlink()
    assert hub.sign_ins() == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": 7}', "[" * 100_000, '"\udcff"'])
def test_a_broken_token_file_is_replaced(
    content: str, hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    token_file(home).write_bytes(content.encode(errors="surrogateescape"))
    assert kworkspace("status").code == 0
    assert hub.sign_ins() == 2


def test_logout(hub: "Hub", home: Path, alice: Path, kworkspace: "Run") -> None:
    kworkspace("login")
    result = kworkspace("logout")
    assert (result.code, result.out) == (0, f"Signed out of {hub.url}.\n")
    assert hub.tokens == {}
    assert list((home / ".local/state/kworkspace/tokens").iterdir()) == []
    again = kworkspace("logout", "-o", "json")
    assert (again.code, json.loads(again.out)["changed"]) == (0, False)
    assert hub.sign_ins() == 1


def test_logout_of_a_token_that_the_hub_forgot(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    kworkspace("login")
    hub.tokens.clear()
    assert kworkspace("logout").code == 0


def test_logout_without_the_hub(hub: "Hub", home: Path, alice: Path, kworkspace: "Run") -> None:
    kworkspace("login")
    page = {"Content-Type": "text/html"}
    hub.answers["DELETE /hub/api/auth/token"] = (502, page, b"<html>")
    result = kworkspace("logout")
    assert result.code == 5
    assert "deleted here, but not ended at the hub" in result.err
    assert list((home / ".local/state/kworkspace/tokens").iterdir()) == []


def test_a_named_key_and_no_other(
    hub: "Hub", home: Path, alice: Path, new_key: "NewKey", kworkspace: "Run"
) -> None:
    new_key(home / "other")
    result = kworkspace("login", "--ssh-key-path", "other")
    assert result.code == 3
    assert "the hub does not accept ~/other for user alice" in result.err
    assert hub.sign_ins() == 1
    assert kworkspace("login", "--ssh-key-path", str(alice)).code == 0
    assert kworkspace("login", "--ssh-key-path", f"{alice}.pub").code == 0


def test_key_after_key_with_a_nonce_for_each(
    hub: "Hub", home: Path, alice: Path, new_key: "NewKey", kworkspace: "Run"
) -> None:
    hub.users["alice"] = [new_key(home / ".ssh" / "id_rsa", "rsa")]
    result = kworkspace("login")
    assert "signed in with ~/.ssh/id_rsa" in result.out
    assert hub.sign_ins() == hub.asked("POST /hub/api/auth/challenge") == 2
    hub.users.clear()
    refused = kworkspace("login")
    assert refused.code == 3
    assert "~/.ssh/id_ed25519 or ~/.ssh/id_rsa" in refused.err


def test_no_key(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    alice.unlink()
    result = kworkspace("login")
    assert result.code == 3
    assert "make one with ssh-keygen -t ed25519" in result.err


def test_a_file_that_is_no_key(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    alice.write_text("nothing")
    alice.with_suffix(".pub").unlink()
    result = kworkspace("login")
    assert result.code == 1
    assert result.err.endswith("kworkspace: ssh-keygen cannot sign with ~/.ssh/id_ed25519\n")


def test_no_ssh_keygen(
    alice: Path, home: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Run"
) -> None:
    monkeypatch.setenv("PATH", str(home))
    result = kworkspace("login")
    assert result.code == 1
    assert "ssh-keygen is not installed: apt install openssh-client" in result.err


def test_another_url_than_the_hubs_own(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("login", "--api", hub.url.replace("127.0.0.1", "localhost"))
    assert result.code == 3
    assert "is the URL that the hub is known by" in result.err


def test_a_passphrase_key_of_the_agent(
    hub: "Hub",
    alice: Path,
    new_key: "NewKey",
    agent: Callable[[Path, str], None],
    kworkspace: "Run",
) -> None:
    alice.unlink()
    key = alice.parents[1] / "locked"
    hub.users["alice"] = [new_key(key, passphrase="geheim")]
    agent(key, "geheim")
    result = kworkspace("login")
    assert result.code == 0, result.err
    assert "signed in with locked (agent)" in result.out
    key.unlink()
    assert kworkspace("login", "--ssh-key-path", "locked.pub").code == 0


def test_a_default_key_that_the_agent_has_is_tried_once(
    hub: "Hub", alice: Path, agent: Callable[[Path, str], None], kworkspace: "Run"
) -> None:
    agent(alice, "")
    hub.users.clear()
    assert kworkspace("login").code == 3
    assert hub.sign_ins() == 1


def test_an_agent_that_is_gone(
    hub: "Hub", alice: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Run"
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent")
    assert kworkspace("login").code == 0


def test_a_passphrase_is_asked_on_the_terminal(
    hub: "Hub", home: Path, alice: Path, new_key: "NewKey", program: str
) -> None:
    """Also where a display is set and no askpass program is there."""
    alice.unlink()
    hub.users["alice"] = [new_key(home / ".ssh" / "id_ecdsa", "ecdsa", "geheim")]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "-c", "-w", program, "login"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "DISPLAY": ":7", "SSH_ASKPASS": "/nonexistent"},
    )
    os.close(follower)
    seen, answered = b"", False
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and select.select([leader], [], [], 20)[0]:
        try:
            seen += os.read(leader, 4096)
        except OSError:
            break  # Linux's way to say that the other end is closed
        if b"passphrase" in seen and not answered:
            answered = True
            os.write(leader, b"geheim\n")
    os.close(leader)
    assert process.wait(20) == 0, seen
    assert b"signed in with ~/.ssh/id_ecdsa" in seen


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (3600.0, "this computer's clock is 1 h behind the hub's"),
        (-5400.0, "this computer's clock is 1 h 30 min ahead of the hub's"),
    ],
)
def test_a_clock_that_is_off(
    offset: float, text: str, hub: "Hub", alice: Path, kworkspace: "Run"
) -> None:
    hub.clock_offset = offset
    result = kworkspace("login")
    assert result.code == 0
    assert f"{text}; set it: timedatectl set-ntp true" in result.err
    hub.users.clear()
    refused = kworkspace("login")
    assert refused.code == 3
    assert text in refused.err
    assert refused.err.count("\n") == 1


def test_a_clock_that_is_nearly_right(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.clock_offset = 240
    assert kworkspace("login").err == ""


@pytest.mark.parametrize(("hub_is_off", "text"), [(True, "5 days"), (False, "tell the hub's adm")])
def test_a_certificate_of_another_time(
    hub_is_off: bool,
    text: str,
    serve: "Serve",
    authority: "Authority",
    kworkspace: "Run",
) -> None:
    hub = serve(authority.context(begins=-9, ends=-4))
    hub.clock_offset = -5 * 86400 if hub_is_off else 0
    config = authority.file.with_name("c.toml")
    config.write_text(f'api = "{hub.url}"\nuser = "alice"\nca_file = "{authority.file}"\n')
    result = kworkspace("login", "--ssh-key-path", "c.toml", "--config", str(config))
    assert result.code == 5
    assert f"the TLS certificate of {hub.url} has expired; " in result.err
    assert text in result.err


def test_what_is_no_kworkspace_hub(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    body = b'{"status": 404, "message": "Not Found"}'
    json_type = {"Content-Type": "application/json"}
    hub.answers["POST /hub/api/auth/challenge"] = (404, json_type, body)
    result = kworkspace("login")
    assert result.code == 5
    assert "is not a kworkspace hub" in result.err


def test_no_secret_is_shown(hub: "Hub", home: Path, alice: Path, kworkspace: "Run") -> None:
    shown = "".join(
        result.out + result.err
        for result in (
            kworkspace("login"),
            kworkspace("whoami", "-o", "json"),
            kworkspace("status"),
            kworkspace("logout"),
        )
    )
    assert not any(token in shown for token in hub.tokens)


HOSTILE_TOKENS = ["secret\r\nX: y", "secret\u20ac", "secret\xe9", "secret secret", "secret\0"]


@pytest.mark.parametrize("token", HOSTILE_TOKENS)
def test_a_token_that_no_header_can_carry(
    token: str, hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    new = {"token": token, "id": "1", "user": "alice", "expires_in": 60}
    answer = json.dumps(new).encode()
    hub.answers["POST /hub/api/auth/token"] = (201, {"Content-Type": "application/json"}, answer)
    result = kworkspace("login")
    assert result.code == 5
    assert "secret" not in result.out + result.err
    assert result.err.count("\n") == 1
    assert not (home / ".local/state/kworkspace/tokens").exists()


@pytest.mark.parametrize("token", HOSTILE_TOKENS)
def test_a_kept_token_that_no_header_can_carry(
    token: str, hub: "Hub", home: Path, alice: Path, kworkspace: "Run"
) -> None:
    kworkspace("login")
    keep(home, token=token)
    result = kworkspace("status")
    assert (result.code, result.err) == (0, "")
    assert hub.sign_ins() == 2


@pytest.mark.parametrize("seconds", [10**18, -(10**18), 0])
def test_a_token_for_an_odd_time(seconds: int, hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.token_seconds = seconds
    assert kworkspace("login", "-o", "json").code == 0


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://127.0.0.1:1", False),
        ("http://127.9.9.9:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
        ("http://127.evil.invalid:1", True),
        ("http://localhost.evil.invalid:1", True),
        ("http://localhost-evil.invalid:1", True),
        ("https://127.evil.invalid:1", False),
    ],
)
def test_who_is_warned_of_listeners(url: str, warned: bool, alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("login", "--api", url)
    assert result.code == 5
    assert ("is not encrypted" in result.err) is warned
