"""Keys made by the real ssh-keygen, and hardware keys made here by the letter of PROTOCOL.u2f."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from asyncssh.packet import MPInt, String, UInt32
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TEXT = b"kworkspace: sign in\nnonce: 1\n"
KINDS = {
    "ed25519": ["-t", "ed25519"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "nistp256": ["-t", "ecdsa", "-b", "256"],
    "nistp384": ["-t", "ecdsa", "-b", "384"],
    "nistp521": ["-t", "ecdsa", "-b", "521"],
}
TOUCHED = 1


@dataclass(frozen=True)
class KeyFile:
    """A private key's file."""

    path: Path

    @property
    def line(self) -> str:
        """Its public key's line."""
        return self.path.with_suffix(".pub").read_text()

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` calls it."""
        shown = subprocess.run(
            ["ssh-keygen", "-l", "-f", str(self.path)], capture_output=True, text=True, check=True
        )
        return shown.stdout.split()[1]

    def sign(self, text: bytes = TEXT, namespace: str = "kworkspace", hash_name: str = "") -> str:
        """Sign as a person does."""
        options = ["-O", f"hashalg={hash_name}"] if hash_name else []
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, *options, "-f", str(self.path)]
        return subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode()


@dataclass(frozen=True)
class HardwareKey:
    """An sk- key: what the device would do, with the flags that the test wants.

    `raw_sign` returns the inner signature over what a device signs (PROTOCOL.u2f, "SSH U2F
    Signatures").
    """

    algorithm: str
    key_fields: bytes
    raw_sign: Callable[[bytes], bytes]
    application: bytes = b"ssh:"

    @property
    def blob(self) -> bytes:
        """The public key."""
        return String(self.algorithm) + self.key_fields + String(self.application)

    @property
    def line(self) -> str:
        """Its line."""
        return f"{self.algorithm} {base64.b64encode(self.blob).decode()} token"

    def signature(self, signed: bytes, flags: int) -> bytes:
        """The SSH signature blob."""
        tail = bytes([flags]) + UInt32(7)
        hashed = hashlib.sha256(self.application).digest() + tail + hashlib.sha256(signed).digest()
        return String(self.algorithm) + String(self.raw_sign(hashed)) + tail


def armor(blob: bytes) -> str:
    """What ssh-keygen puts around a signature."""
    text = base64.encodebytes(blob).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{text}-----END SSH SIGNATURE-----\n"


def file_signature(
    public_key: bytes,
    sign: Callable[[bytes], bytes],
    text: bytes = TEXT,
    *,
    version: int = 1,
    namespace: bytes = b"kworkspace",
    hash_name: str = "sha512",
    end: bytes = b"",
) -> str:
    """Sign by the letter of PROTOCOL.sshsig, with whatever field the test wants wrong."""
    digest = hashlib.new(hash_name, text).digest()
    fields = String(namespace) + String(b"") + String(hash_name)
    signature = sign(b"SSHSIG" + fields + String(digest))
    head = b"SSHSIG" + UInt32(version) + String(public_key)
    return armor(head + fields + String(signature) + end)


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    """One key of each type that is a file."""
    folder = tmp_path_factory.mktemp("keys")
    for name, options in KINDS.items():
        make_key(folder / name, options)
    return {name: KeyFile(folder / name) for name in KINDS}


@pytest.fixture(scope="session")
def key_lines(
    key_files: dict[str, KeyFile], hardware_keys: dict[str, HardwareKey]
) -> dict[str, str]:
    """The public line of one key of each type."""
    files = {name: key.line for name, key in key_files.items()}
    return files | {name: key.line for name, key in hardware_keys.items()}


@pytest.fixture(scope="session")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """A key that nobody has."""
    path = tmp_path_factory.mktemp("other") / "id"
    make_key(path, KINDS["ed25519"])
    return KeyFile(path)


def make_key(path: Path, options: list[str]) -> None:
    """Run ssh-keygen."""
    command = ["ssh-keygen", "-q", "-N", "", "-C", "alice@laptop", *options, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def hardware_keys() -> dict[str, HardwareKey]:
    """One key of each type that is a device."""
    edwards = ed25519.Ed25519PrivateKey.generate()
    point = ec.generate_private_key(ec.SECP256R1())

    def sign_ecdsa(hashed: bytes) -> bytes:
        r, s = decode_dss_signature(point.sign(hashed, ec.ECDSA(hashes.SHA256())))
        return MPInt(r) + MPInt(s)

    public_point = point.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "sk-ed25519": HardwareKey(
            "sk-ssh-ed25519@openssh.com",
            String(edwards.public_key().public_bytes_raw()),
            edwards.sign,
        ),
        "sk-ecdsa": HardwareKey(
            "sk-ecdsa-sha2-nistp256@openssh.com",
            String("nistp256") + String(public_point),
            sign_ecdsa,
        ),
    }


def certify(authority: Path, public_key: Path, *options: str, principals: str = "alice") -> Path:
    """Have the real ssh-keygen sign a public key; `options` are its own (ssh-keygen(1))."""
    named = ["-n", principals] if principals else []
    command = ["ssh-keygen", "-q", "-s", str(authority), "-I", "alice@example.org"]
    command += [*named, *options, str(public_key)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return public_key.with_name(f"{public_key.stem}-cert.pub")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """A CA."""
    path = tmp_path_factory.mktemp("authority") / "ca"
    make_key(path, KINDS["ed25519"])
    return KeyFile(path)


@pytest.fixture
def new_key(tmp_path: Path) -> KeyFile:
    """A key of this test alone, that it may have certified."""
    make_key(tmp_path / "id", KINDS["ed25519"])
    return KeyFile(tmp_path / "id")
