"""The picture of `keys list`: a card for each key, with its whole fingerprint."""

from collections.abc import Sequence

from kworkspace.cli.client.layout import PLAIN, Cell, Screen, paragraph
from kworkspace.cli.client.reports import KeyReport, ago, until
from kworkspace.cli.client.words import seconds

# How people call the types of OpenSSH's sshkey.c.
TYPES = {
    "ssh-ed25519": "Ed25519",
    "ssh-rsa": "RSA",
    "sk-ssh-ed25519@openssh.com": "Ed25519, hardware",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA, hardware",
}
SOURCES = {
    "configuration": "in the hub's configuration",
    "directory": "in the hub's directory of keys",
}


def key_cards(
    keys: Sequence[KeyReport],
    screen: Screen = PLAIN,
    *,
    current: str = "signed this computer in",
) -> list[str]:
    """Return a card for each key; one line where there is none.

    Args:
        keys: to show.
        screen: where it is shown.
        current: what is said of the key that is in use.
    """
    if not keys:
        return ["You have no key at the hub."]
    lines: list[str] = []
    for key in keys:
        title = Cell(key.comment or "(no comment)", bold=bool(key.comment))
        lines += ["", *paragraph(title, screen)]
        lines += paragraph(Cell(key.fingerprint), screen, indent=2)
        lines += paragraph(Cell(", ".join(_facts(key)), dim=True), screen, indent=2)
        if key.current:
            lines += paragraph(Cell(current, "green"), screen, indent=2)
        if key.expires is not None and until(key.expires) <= 0:
            lines += paragraph(Cell(f"expired {ago(key.expires)}", "red"), screen, indent=2)
        elif key.expires is not None:
            text = f"expires in {seconds(until(key.expires))}"
            lines += paragraph(Cell(text, "yellow"), screen, indent=2)
        if key.options:
            lines += paragraph(Cell(f"options: {key.options}"), screen, indent=2)
    return lines[1:]


def _facts(key: KeyReport) -> list[str]:
    kind = TYPES.get(key.type) or ("ECDSA" if key.type.startswith("ecdsa-") else key.type)
    facts = [kind]
    if key.source in SOURCES:
        facts.append(SOURCES[key.source])
    if key.created is not None:
        facts.append(f"added {ago(key.created)}")
    return facts
