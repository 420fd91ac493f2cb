"""User certificates at the door: passed on to the hub, which decides, and trusted by nobody here.

asyncssh (2.24) judges certificates itself: it would have to be told which authorities to trust, it
wants the SSH login, `NAME+gpu` and all, among the principals, and it shows `validate_ca_key` the
authority's key alone. So a connection's `validate_public_key`, which asyncssh calls for every
publickey request with all that came, is given the key in the certificate for the certificate. The
request goes the way of any key's then, and its signature is verified over the bytes that came,
certificate and all; the line that the hub is asked about is the certificate's.
`tests/gateway/test_certificate.py` fails when an asyncssh does this differently.
"""

from base64 import b64encode
from contextvars import ContextVar

import asyncssh
from asyncssh.packet import SSHPacket

from kworkspace.gateway.host_key import public_line
from kworkspace.ssh.certificate import key_of

_VALIDATE = "validate_public_key"
_certificate: ContextVar[str] = ContextVar("certificate", default="")
"""Of the request that is being answered; asyncssh answers each in a task of its own."""


def pass_certificates(conn: asyncssh.SSHServerConnection) -> None:
    """Have a connection treat a certificate as its key, from now on."""
    validate = conn.validate_public_key

    async def validate_either(username: str, blob: bytes, msg: bytes, signature: bytes) -> bool:
        key = key_of(blob)
        if key is None:
            return await validate(username, blob, msg, signature)
        name = SSHPacket(blob).get_string().decode("ascii")
        token = _certificate.set(f"{name} {b64encode(blob).decode('ascii')}")
        try:
            return await validate(username, key, msg, signature)
        finally:
            _certificate.reset(token)

    setattr(conn, _VALIDATE, validate_either)


def offered_line(key: asyncssh.SSHKey) -> str:
    """Return what came with the request: the key's line, or that of the certificate it is in.

    Args:
        key: as handed to `validate_public_key` of an `asyncssh.SSHServer`, which asks.
    """
    return _certificate.get() or public_line(key)
