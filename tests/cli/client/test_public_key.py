"""What is no public key goes nowhere, and nothing of it is repeated."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.public_key import check_public_key


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    with suppress(UsageFault):
        line = check_public_key(content, "this")
        assert line.encode() in content
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("mark", ["PRIVATE KEY", "PuTTY-User-Key-File"])
def test_private_keys_are_told_from_afar(mark: str) -> None:
    with pytest.raises(UsageFault, match="this is a private key") as error:
        check_public_key(f"-----BEGIN {mark}-----\nsecret".encode(), "this")
    assert "secret" not in error.value.message
