"""A server that only looks at who asks: TLS, client certificates and Authorization headers."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority with its files in a directory."""

    directory: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def file(self) -> Path:
        """Its certificate."""
        path = self.directory / "ca.crt"
        if not path.exists():
            path.write_bytes(self._pem("ca", self.key.public_key(), is_authority=True))
        return path

    def issue(self, name: str) -> tuple[Path, Path]:
        """Make a certificate for 127.0.0.1 and return its file and its key's."""
        key = ec.generate_private_key(ec.SECP256R1())
        crt, pem = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        crt.write_bytes(self._pem(name, key.public_key()))
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return crt, pem

    def _pem(
        self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False
    ) -> bytes:
        now = datetime.now(UTC)
        ours = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours),
                critical=False,
            )
        )
        if is_authority:
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            made = made.add_extension(usage, critical=True)
        else:
            names = [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("cluster.test")]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Front:
    """The server.

    Attributes:
        url: where it is.
        good: Authorization headers that it accepts; None accepts everybody.
        seen: Authorization headers that came.
        peers: names of client certificates that came.
        hosts: Host headers that came; an absolute URL where it is used as a proxy.
        good_peer: the certificate that it accepts, "" for any.
    """

    url: str = ""
    good: set[str] | None = None
    seen: list[str] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    good_peer: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with a list of nothing, or 401."""
        header = request.headers.get("Authorization", "")
        self.seen.append(header)
        self.hosts.append(request.headers.get("Host", ""))
        peer = _peer(request)
        self.peers.append(peer)
        if (self.good is not None and header not in self.good) or (
            self.good_peer and peer != self.good_peer
        ):
            body = {"kind": "Status", "code": 401, "reason": "Unauthorized"}
            return web.json_response({**body, "message": "Unauthorized"}, status=401)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})


def _peer(request: web.Request) -> str:
    assert request.transport is not None
    certificate = request.transport.get_extra_info("peercert") or {}
    for ((name, value),) in certificate.get("subject", ()):
        if name == "commonName":
            return str(value)
    return ""


@asynccontextmanager
async def serve(authority: Authority | None = None) -> AsyncIterator[Front]:
    """Serve until the block ends, with TLS if there is an authority."""
    front = Front()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", front.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server"))
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_OPTIONAL
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    front.url = f"http{'s' if context else ''}://127.0.0.1:{port}"
    try:
        yield front
    finally:
        await runner.cleanup()
