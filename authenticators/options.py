"""Reads the options of `SSHKeyAuthenticator` that hold keys.

Every error is one line that names option and entry, and never repeats a key.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traitlets import TraitError

from kworkspace.authenticators.authorized_keys import BOM, parse_authorized_key
from kworkspace.authenticators.keyring import Keys, by_digest, digest_of
from kworkspace.authenticators.keys import parse_public_key
from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.names import parse_user_name

_AUTHORITIES = "c.SSHKeyAuthenticator.user_authorities"
_REVOKED = "c.SSHKeyAuthenticator.revoked_keys"


def parse_users(users: Mapping[Any, Any]) -> dict[str, Keys]:
    """Read the users of the configuration.

    Raises:
        TraitError: it names the user and the index.
    """
    parsed: dict[str, Keys] = {}
    for written, lines in users.items():
        where = f"c.SSHKeyAuthenticator.users[{written!r}]"
        if not isinstance(written, str):
            raise TraitError(f"{where}: a user name is text, such as 'alice'")
        try:
            name = parse_user_name(written, where)
            if name in parsed:
                raise TraitError(f"{where}: '{name}' is there twice, written differently")
            parsed[name] = _parse_keys(lines, where)
        except BadRequest as error:
            raise TraitError(error.message) from None
    return parsed


def _parse_keys(lines: Any, where: str) -> Keys:
    if isinstance(lines, str) or not isinstance(lines, Sequence):
        raise TraitError(f"{where}: must be a list of public keys: ['ssh-ed25519 AAAA...']")
    keys = []
    for index, line in enumerate(lines):
        if not isinstance(line, str):
            raise TraitError(f"{where}[{index}]: a public key is text, a line as in id_ed25519.pub")
        keys.append(parse_authorized_key(line, f"{where}[{index}]"))
    return by_digest(keys)


def parse_authorities(written: str | Sequence[str]) -> frozenset[bytes]:
    """Return the digests of the authorities' keys.

    Args:
        written: their lines, or the path of a file with a line for each.

    Raises:
        TraitError: the file cannot be read or has no key, or a line is no key.
    """
    if not isinstance(written, str):
        return frozenset(
            _digest(line, f"{_AUTHORITIES}[{index}]") for index, line in enumerate(written)
        )
    if not written:
        return frozenset()
    path = Path(written).expanduser()
    try:
        lines = path.read_text(errors="replace").removeprefix(BOM).split("\n")
    except OSError as error:
        raise TraitError(f"{_AUTHORITIES}: {path} cannot be read: {error.strerror}") from None
    found = frozenset(
        _digest(line, f"{_AUTHORITIES}: {path}: line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not found:
        raise TraitError(f"{_AUTHORITIES}: {path} has no key in it")
    return found


def parse_revoked(written: Sequence[str]) -> frozenset[bytes]:
    """Return the digests of revoked keys, which are given as lines or fingerprints.

    Raises:
        TraitError: it names the index.
    """
    return frozenset(
        _fingerprint(text) or _digest(text, f"{_REVOKED}[{index}]")
        for index, text in enumerate(written)
    )


def _fingerprint(text: str) -> bytes | None:
    try:
        return digest_of(text.strip())
    except ValueError:
        return None


def _digest(line: str, where: str) -> bytes:
    """Return the digest of a plain key's line: a condition in front of it would not be kept."""
    try:
        return parse_public_key(line.strip(), where).digest
    except BadRequest as error:
        raise TraitError(error.message) from None
