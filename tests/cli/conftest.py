"""A person with a home, keys and agent of their own, and what runs the command for them."""

import ipaddress
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kworkspace.cli.main import run as run_command
from tests.cli.stand_in_hub import WAIT_SECONDS, Handler, Hub, QuietServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and nothing of the environment that could change a test."""
    for name in list(os.environ):
        if name.startswith(("KWORKSPACE_", "XDG_", "SSH_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm")
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def new_key() -> Callable[..., str]:
    """Make a key with the real ssh-keygen; returns the public line."""

    def make(path: Path, kind: str = "ed25519", passphrase: str = "") -> str:
        command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name]
        subprocess.run([*command, "-f", str(path)], check=True, stdin=subprocess.DEVNULL)
        return path.with_name(f"{path.name}.pub").read_text().strip()

    return make


Serve = Callable[..., Hub]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start stand-in hubs, with TLS if a context is given; all end with the test."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread, Hub]] = []

    def start(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Hub:
        hub = Hub()
        hub.go_on.set()
        server = QuietServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        hub.url = f"{scheme}://{host}:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread, hub))
        return hub

    yield start
    for server, thread, hub in servers:
        hub.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join(WAIT_SECONDS)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that nobody knows yet; `file` is its certificate."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name
    file: Path

    def context(
        self, host: str = "127.0.0.1", begins: float = -1, ends: float = 1
    ) -> ssl.SSLContext:
        """A server's TLS context; the certificate is valid for days from now `begins` to `ends`."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        certificate = self.sign(
            x509.Name([]),
            key.public_key(),
            (begins, ends),
            x509.SubjectAlternativeName([alternative]),
        )
        file = self.folder / f"server-{secrets.token_hex(4)}.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def sign(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePublicKey,
        days: tuple[float, float],
        extension: x509.ExtensionType,
    ) -> bytes:
        """A certificate, PEM."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self.name, name, key, x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(extension, critical=True)
        )
        if isinstance(extension, x509.BasicConstraints):
            identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
            builder = builder.add_extension(CA_USAGE, critical=True)
        else:
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(issuer, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


CA_USAGE = x509.KeyUsage(
    **dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    ),
    key_cert_sign=True,
    crl_sign=True,
)


@pytest.fixture
def authority(home: Path) -> Authority:
    """An authority of the test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = Authority(home, key, name, home / "ca.pem")
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    made.file.write_bytes(made.sign(name, key.public_key(), (-9, 9), constraints))
    return made


@pytest.fixture
def hub(serve: Serve) -> Hub:
    """A hub that knows nobody yet."""
    return serve()


@pytest.fixture
def alice(
    hub: Hub, home: Path, new_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Settings and a key with which the hub knows alice; returns the key."""
    key = home / ".ssh" / "id_ed25519"
    hub.users["alice"] = [new_key(key)]
    monkeypatch.setenv("KWORKSPACE_API", hub.url)
    monkeypatch.setenv("KWORKSPACE_USER", "alice")
    return key


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def kworkspace(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command in this process, what its programs print included."""

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        code = run_command(arguments)
        out, err = capfd.readouterr()
        return Result(int(code), out, err)

    return run


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str], None]]:
    """An ssh-agent of the test; yields what adds a key with a passphrase to it."""
    socket = home / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while not socket.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))

    def add(key: Path, passphrase: str) -> None:
        askpass = home / "askpass"
        askpass.write_text(f"#!/bin/sh\necho {passphrase}\n")
        askpass.chmod(0o700)
        environ = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(
            ["ssh-add", "-q", str(key)], env=environ, check=True, stdin=subprocess.DEVNULL
        )

    yield add
    process.terminate()
    process.wait(WAIT_SECONDS)


@pytest.fixture
def program() -> str:
    """The installed `kworkspace`."""
    path = shutil.which("kworkspace", path=f"{Path(sys.executable).parent}")
    assert path is not None
    return path
