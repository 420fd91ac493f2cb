"""How the proof of a login travels from a gateway: base64 fields of what an SSH client signed."""

import base64
import binascii

from kworkspace.cli.client.errors import BadRequest


def session_id_of(signed: bytes) -> bytes:
    """Return the first field of what a login signs, a string (RFC 4251, section 5)."""
    return signed[4 : 4 + int.from_bytes(signed[:4])]


def decode_field(text: str, field: str) -> bytes:
    """Return the bytes of a base64 field.

    Raises:
        BadRequest: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{field}: not base64") from None
