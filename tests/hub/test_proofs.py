"""The fields of a proof."""

import pytest

from kworkspace.cli.client.errors import BadRequest
from kworkspace.hub.proofs import decode_field, session_id_of


def test_fields() -> None:
    assert decode_field("AAAA", "signed") == b"\0\0\0"
    assert session_id_of(b"\0\0\0\2abrest") == b"ab"
    assert session_id_of(b"\xff") == b""
    for text in ("A", "é", "AA AA"):
        with pytest.raises(BadRequest, match="signed: not base64"):
            decode_field(text, "signed")
