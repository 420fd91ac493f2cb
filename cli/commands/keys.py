"""`kworkspace keys`: the public keys that the hub knows a user by."""

import click

from kworkspace.cli.asking import agrees
from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import Conflict, Forbidden, KworkspaceError
from kworkspace.cli.client.listed_keys import find_key, key_name, key_report
from kworkspace.cli.client.models import NewKey
from kworkspace.cli.client.reports import KeyChangeReport, KeysReport
from kworkspace.cli.key_files import read_public_key
from kworkspace.cli.keys import fingerprint
from kworkspace.cli.options import pass_flags, shared_options, yes_option
from kworkspace.cli.reports import report, report_picture
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.signin import kept_key, open_client
from kworkspace.cli.tokens import TokenCache


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
    keys = [key_report(key, current) for key in found]
    result = KeysReport(user=settings.user, keys=keys)

    def picture() -> list[str]:
        from kworkspace.cli.client.key_cards import key_cards  # noqa: PLC0415 - not for JSON
        from kworkspace.cli.tables import screen  # noqa: PLC0415 - not for JSON

        return key_cards(keys, screen())

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
    shown = key_report(key, _current(settings))
    text = f"Added {key_name(key)}." if changed else f"{key_name(key)} is there already."
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
        found = find_key(client.send(calls.keys(settings.user)), key)
        if found.id is None:
            raise Forbidden(
                f"{key_name(found)} is of the hub's {found.source}: its admin removes it there"
            )
        shown = key_report(found, _current(settings))
        what = f"{key_name(found)} signed this computer in: that ends, and its SSH sessions."
        if shown.current and not yes and not agrees(what):
            raise KworkspaceError("nothing is removed")
        client.send(calls.remove_key(settings.user, found.id))
    if shown.current:
        TokenCache(settings).delete()
    result = KeyChangeReport(user=settings.user, key=shown, changed=True)
    report(flags, result, f"Removed {key_name(found)}.")


def _current(settings: Settings) -> str:
    kept = kept_key(settings)
    return "" if kept is None else fingerprint(kept)
