"""Keys as the commands show them, and how a person names one."""

from kworkspace.cli.client.errors import NotFound
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.models import Key
from kworkspace.cli.client.reports import KeyReport

MIN_PREFIX = 4


def find_key(keys: list[Key], wanted: str) -> Key:
    """Return the key that a person means.

    Raises:
        NotFound: none, or the beginning is too short to mean one.
        UsageFault: several.
    """
    start = wanted.removeprefix("SHA256:")
    found = [
        key
        for key in keys
        if key.comment == wanted
        or (len(start) >= MIN_PREFIX and key.fingerprint.startswith(f"SHA256:{start}"))
    ]
    if not found:
        raise NotFound(f"you have no key '{wanted}' at the hub; see kworkspace keys list")
    if len(found) > 1:
        raise UsageFault(f"'{wanted}' is {len(found)} of your keys: give more of the fingerprint")
    return found[0]


def key_report(key: Key, current: str) -> KeyReport:
    """Return a key for programs; `current` is the fingerprint of the key that is in use."""
    return KeyReport(
        fingerprint=key.fingerprint,
        type=key.type,
        comment=key.comment,
        source=key.source,
        options=key.options,
        created=key.created,
        expires=key.expires,
        removable=key.id is not None,
        current=key.fingerprint == current,
    )


def key_name(key: Key) -> str:
    """Return how a sentence calls a key."""
    return f"{key.comment} ({key.fingerprint})" if key.comment else key.fingerprint
