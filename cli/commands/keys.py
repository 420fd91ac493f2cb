"""`kworkspace keys`: the public keys that the hub knows a user by."""

import click

from kworkspace.cli.asking import agrees
from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import Conflict, Forbidden, KworkspaceError, NotFound
from kworkspace.cli.client.models import Key, NewKey
from kworkspace.cli.exits import UsageFault
from kworkspace.cli.key_files import read_public_key
from kworkspace.cli.keys import fingerprint
from kworkspace.cli.options import pass_flags, shared_options, yes_option
from kworkspace.cli.reports import (
    KeyChangeReport,
    KeyReport,
    KeysReport,
    report,
    report_picture,
)
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.signin import kept_key, open_client
from kworkspace.cli.tokens import TokenCache

MIN_PREFIX = 4


@click.group("keys")
@shared_options
def command() -> None:
    """List, add and remove the SSH keys that you sign in with."""


@command.command("list")
@shared_options
@pass_flags
def list_keys(flags: Flags) -> None:
    """List your keys at the hub.

    Keys of the hub's configuration, or of its directory of keys, are changed there by its admin.
    """
    settings = load(flags)
    with open_client(settings) as client:
        found = client.send(calls.keys(settings.user))
    current = _current(settings)
    keys = [_report(key, current) for key in found]
    result = KeysReport(user=settings.user, keys=keys)

    def picture() -> list[str]:
        from kworkspace.cli.key_cards import key_cards  # noqa: PLC0415 - not for JSON

        return key_cards(keys)

    report_picture(flags, result, picture)


@command.command("add")
@click.argument("file", type=click.Path(allow_dash=True))
@shared_options
@pass_flags
def add(flags: Flags, file: str) -> None:
    """Add a public key: of FILE, such as ~/.ssh/id_ed25519.pub, or of stdin with -.

    A private key is refused, and goes nowhere.
    """
    settings = load(flags)
    line = read_public_key(file)
    with open_client(settings) as client:
        try:
            key, changed = client.send(calls.add_key(settings.user, NewKey(key=line))), True
        except Conflict:
            print_of = fingerprint(line)
            known = client.send(calls.keys(settings.user))
            mine = [key for key in known if key.fingerprint == print_of]
            if not mine:
                raise
            key, changed = mine[0], False
    shown = _report(key, _current(settings))
    text = f"Added {_name(key)}." if changed else f"{_name(key)} is there already."
    report(flags, KeyChangeReport(user=settings.user, key=shown, changed=changed), text)


@command.command("remove")
@click.argument("key", metavar="KEY")
@yes_option
@shared_options
@pass_flags
def remove(flags: Flags, *, key: str, yes: bool) -> None:
    """Remove a key: KEY is its fingerprint or the beginning of it, or its comment.

    What was signed in with it, here or elsewhere, ends at once: tokens and SSH sessions. Before it
    removes the key that signed this computer in, it asks.
    """
    settings = load(flags)
    with open_client(settings) as client:
        found = _find(client.send(calls.keys(settings.user)), key)
        if found.id is None:
            raise Forbidden(
                f"{_name(found)} is of the hub's {found.source}: its admin removes it there"
            )
        shown = _report(found, _current(settings))
        what = f"{_name(found)} signed this computer in: that ends, and its SSH sessions."
        if shown.current and not yes and not agrees(what):
            raise KworkspaceError("nothing is removed")
        client.send(calls.remove_key(settings.user, found.id))
    if shown.current:
        TokenCache(settings).delete()
    result = KeyChangeReport(user=settings.user, key=shown, changed=True)
    report(flags, result, f"Removed {_name(found)}.")


def _find(keys: list[Key], wanted: str) -> Key:
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


def _current(settings: Settings) -> str:
    kept = kept_key(settings)
    return "" if kept is None else fingerprint(kept)


def _report(key: Key, current: str) -> KeyReport:
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


def _name(key: Key) -> str:
    return f"{key.comment} ({key.fingerprint})" if key.comment else key.fingerprint
