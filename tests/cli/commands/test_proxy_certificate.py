"""Into a workspace by tunnel with the hub's certificate: real hub, gateway and ssh."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kworkspace.hub.open_sessions import KEY_GONE
from kworkspace.hub.tunnel_certificates import NO_KEY
from tests.cli.commands.test_proxy import PROGRAM, environment, kworkspace
from tests.conftest import wait_until
from tests.echo import COMMAND, answers, open_echo
from tests.test_trust import authorities, rotate

MakeHub = Callable[..., Any]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def hub(make_hub: MakeHub) -> Any:
    """A hub that runs, with its gateway, and alice with a key that no workspace is told of."""
    hub = make_hub(gateway=True, extra="c.Hub.allow_named_servers = True")
    hub.start()
    (hub.directory / ".ssh").mkdir(mode=0o700)
    become(hub, 'from="127.0.0.1"')
    return hub


def become(hub: Any, options: str) -> str:
    """Have alice use another key, with options; return its id."""
    hub.key = hub.directory / f"other{time.monotonic_ns()}"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(hub.key)]
    subprocess.run(make, check=True)
    line = f"{options} {hub.key.with_suffix('.pub').read_text().strip()}"
    status, key = hub.api("POST", f"/users/{hub.user}/keys", {"key": line})
    assert status == 201
    id: str = key["id"]
    return id


def configure(hub: Any, *workspaces: str) -> None:
    """Start workspaces and write ssh's configuration."""
    for name in workspaces:
        if name:
            assert kworkspace(hub, "create", name).returncode == 0
        assert kworkspace(hub, "start", *([name] if name else [])).returncode == 0
    done = kworkspace(hub, "ssh-config", "--tunnel")
    assert done.returncode == 0, done


def line(hub: Any, *words: str, host: str = "kworkspace-tunnel", **options: object) -> list[str]:
    """Return a command line of ssh."""
    more = [f"-o{name}={value}" for name, value in options.items()]
    config = hub.directory / ".ssh/config"
    return ["ssh", "-F", str(config), "-oBatchMode=yes", *more, host, *words]


def ssh(hub: Any, *words: str, host: str = "kworkspace-tunnel", **options: object) -> Done:
    """Run ssh."""
    return subprocess.run(
        line(hub, *words, host=host, **options),
        env=environment(hub),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def outcome(done: Done) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def certificate(hub: Any, workspace: str = "") -> Path:
    """Return the file with the newest certificate."""
    found = hub.directory.glob("state/kworkspace/tunnels/*/certificate")
    newest: Path = max(found, key=lambda path: path.stat().st_mtime_ns)
    return newest


@pytest.mark.parametrize("options", ['from="127.0.0.1"', 'expiry-time="20991231"'])
def test_a_key_with_conditions_opens_it(hub: Any, options: str) -> None:
    """Which the workspace is not told of; nor has ssh a question, and nothing is left over."""
    become(hub, options)
    configure(hub, "")
    assert outcome(ssh(hub, "echo in; exit 7")) == (7, "in\n", "")
    public = hub.key.with_suffix(".pub").read_text().split()[1]
    [told] = hub.data_dir.rglob("authorized_keys")
    assert public not in told.read_text()
    wait_until(lambda: not hub.processes(b"proxy"), "the end of the tunnel's command")
    file = certificate(hub)
    assert {path.stat().st_mode & 0o77 for path in (file, file.with_name("id_ed25519"))} == {0}
    file.unlink()
    plain = ssh(hub, "true", ProxyUseFdpass="no", ProxyCommand=f"{PROGRAM} proxy")
    assert plain.returncode == 255, "by the key alone"
    assert "Permission denied" in plain.stderr


def test_a_first_time_has_no_files(hub: Any) -> None:
    """And two at once make one key."""
    configure(hub, "")
    folder = hub.directory / "state/kworkspace"
    for path in folder.glob("tunnels/*"):
        path.unlink()
    both = [
        subprocess.Popen(line(hub, f"echo {n}"), env=environment(hub), stdout=subprocess.PIPE)
        for n in range(2)
    ]
    assert [one.communicate(timeout=60)[0] for one in both] == [b"0\n", b"1\n"]
    private = certificate(hub).with_name("id_ed25519")
    private.with_suffix(".pub").unlink()
    assert outcome(ssh(hub, "echo in")) == (0, "in\n", "")
    assert [path.name for path in folder.glob("tunnels/.*")] == []


def test_a_client_that_is_passed_nothing_uses_its_own_key(make_hub: MakeHub) -> None:
    """As one that does not know ProxyUseFdpass."""
    hub = make_hub(gateway=True)
    hub.start()
    (hub.directory / ".ssh").mkdir(mode=0o700)
    configure(hub, "")
    assert outcome(ssh(hub, "echo in", ProxyUseFdpass="no")) == (0, "in\n", "")


@pytest.mark.parametrize("kind", ["user", "host"])
def test_after_a_rotation(hub: Any, kind: str) -> None:
    """Whoever trusts whom is another one at once, and ssh asks nothing."""
    configure(hub, "")
    assert ssh(hub, "true").returncode == 0
    [file] = hub.data_dir.rglob("authorized_keys")

    def trusted() -> object:
        return file.read_text() if kind == "user" else authorities(hub)

    before = trusted()
    rotate(hub, kind, "0s")
    wait_until(lambda: trusted() != before, "whoever is to trust the new one")
    assert outcome(ssh(hub, "echo in")) == (0, "in\n", "")
    shown = "is known and matches the ED25519-CERT host certificate"
    wait_until(lambda: shown in ssh(hub, "true", LogLevel="DEBUG").stderr, "a new host certificate")


def test_a_stolen_certificate(hub: Any) -> None:
    """Opens no other workspace; and none from elsewhere, or when its time has passed."""
    configure(hub, "", "gpu")
    assert ssh(hub, "true").returncode == 0
    theirs = certificate(hub)
    key = theirs.with_name("id_ed25519")
    plain = {"ProxyUseFdpass": "no", "IdentitiesOnly": "yes", "IdentityFile": str(key)}

    def by(certificate: Path, name: str = "") -> Done:
        host = f"{name}.kworkspace-tunnel" if name else "kworkspace-tunnel"
        proxy = f"{PROGRAM} proxy {name}".strip()
        return ssh(
            hub, "echo in", host=host, **plain, CertificateFile=certificate, ProxyCommand=proxy
        )

    assert outcome(by(theirs)) == (0, "in\n", ""), "it is good where it is good"
    elsewhere = by(theirs, "gpu")
    assert (elsewhere.returncode, elsewhere.stdout) == (255, "")
    assert "Permission denied" in elsewhere.stderr
    [state] = (
        state
        for file in hub.data_dir.rglob("state.json")
        if (state := json.loads(file.read_text()))["id"] == hub.server()["id"]
    )
    direct = plain | {"HostName": state["host"], "Port": state["port"], "ProxyCommand": "none"}
    for address, code in (("127.0.0.1", 0), ("127.0.0.2", 255)):
        done = ssh(hub, "true", **direct, CertificateFile=theirs, BindAddress=address)
        assert done.returncode == code, "it is good from the gateway's address alone"
    theirs.unlink()
    for times, code in (("-2h:+5m", 0), ("-2h:-1h", 255)):
        own = hub.directory / f"own{code}.pub"
        own.write_text(key.with_suffix(".pub").read_text())
        sign = ["ssh-keygen", "-q", "-s", str(hub.data_dir / "user_ca"), "-I", "x", "-n"]
        subprocess.run([*sign, hub.server()["id"], "-V", times, str(own)], check=True)
        assert by(own.with_name(f"own{code}-cert.pub")).returncode == code, times


def test_a_removed_key_ends_it(make_hub: MakeHub) -> None:
    """The session at once, and the minutes that a certificate has left are of no use."""
    hub = make_hub(gateway=True)
    hub.start()
    (hub.directory / ".ssh").mkdir(mode=0o700)
    id = become(hub, 'from="127.0.0.1"')
    configure(hub, "")
    session = open_echo(line(hub, COMMAND), environment(hub))
    assert answers(session, "still here")
    assert hub.api("DELETE", f"/users/{hub.user}/keys/{id}")[0] == 204
    assert session.wait(30) == 255
    assert KEY_GONE in session.communicate()[1]
    again = ssh(hub, "true")
    assert again.returncode == 255
    assert f"kworkspace: the hub does not accept ~/{hub.key.name} for user" in again.stderr
    plain = ssh(hub, "true", ProxyUseFdpass="no", ProxyCommand=f"{PROGRAM} proxy")
    assert plain.returncode == 255


def test_a_refusal_is_a_line(hub: Any) -> None:
    """Of the hub's, before ssh has begun: here of a token that no key has signed for."""
    configure(hub, "")
    _, made = hub.api("POST", f"/users/{hub.user}/tokens", {"note": "an admin's"})
    [file] = hub.directory.glob("state/kworkspace/tokens/*")
    stored = json.loads(file.read_text())
    file.write_text(json.dumps(stored | {"token": made["token"]}))
    done = ssh(hub, "true")
    assert (done.returncode, done.stdout) == (255, "")
    assert [text for text in done.stderr.splitlines() if text.startswith("kworkspace: ")] == [
        f"kworkspace: {NO_KEY}"
    ]


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_it_ends_with_ssh(hub: Any, signal: str) -> None:
    """The command that copies is nobody's child, and does not stay."""
    configure(hub, "")
    session = open_echo(line(hub, COMMAND), environment(hub))
    assert len(hub.processes(b"proxy")) == 1
    subprocess.run(["kill", f"-{signal}", str(session.pid)], check=True)
    session.communicate(timeout=30)
    wait_until(lambda: not hub.processes(b"proxy"), "its end")
