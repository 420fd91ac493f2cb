"""Templates of the configuration: what `{username}` and the other fields mean, and names from them.

The fields and the rules of a safe name are KubeSpawner's, so that a template of its configuration
gives the same names here. Called when the configuration is checked and by the builders; pure.
"""

import difflib
import hashlib
import re
import string
from collections.abc import Mapping
from typing import Any

from kworkspace.cli.client.names import is_dns_label

MAX_LABEL = 63
_MAX_PIECE = 48
_HASH_LENGTH = 8
_UNSAFE = re.compile(r"[^a-z0-9]+")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_FIELD = re.compile(r"(?<![${])\{([a-z_]+)\}(?!\})")
_PLAIN = frozenset(string.ascii_lowercase + string.digits)

FIELDS = (
    "username",
    "servername",
    "user_server",
    "account",
    "slug",
    "server_id",
    "hub_id",
    "namespace",
    "hubnamespace",
    "pod_name",
    "pvc_name",
    "unescaped_username",
    "unescaped_servername",
    "safe_username",
    "safe_servername",
    "safe_user_server",
    "escaped_username",
    "escaped_servername",
    "escaped_user_server",
)


class TemplateError(ValueError):
    """A template that cannot be expanded; the message says which and why."""


def hashed(text: str, length: int, *, of: str | None = None) -> str:
    """Return a DNS label of at most `length` characters: what is readable of a text, and a hash.

    Args:
        text: what to read in it.
        length: at least 12.
        of: what the hash distinguishes; the text if not given.
    """
    digest = hashlib.sha256((text if of is None else of).encode()).hexdigest()[:_HASH_LENGTH]
    readable = _UNSAFE.sub("-", text.lower()).lstrip("-")[: length - _HASH_LENGTH - 3].rstrip("-")
    return f"{readable or 'x'}---{digest}"


def piece(text: str) -> str:
    """Return a piece of a name: the text itself if it is a DNS label, else one with a hash.

    Two texts never give the same piece, and no piece contains "--" but before a hash.
    """
    if is_dns_label(text) and len(text) <= _MAX_PIECE and "--" not in text:
        return text
    return hashed(text, 32)


def user_server_piece(user: str, server: str) -> str:
    """Return one piece for a workspace, different for every two of them."""
    if not server:
        return piece(user)
    joined = f"{piece(user)}--{piece(server)}"
    return joined if len(joined) <= _MAX_PIECE else hashed(joined, 48, of=f"{user}\xff{server}")


def escaped(text: str) -> str:
    """Return a text as KubeSpawner before version 7 escaped it: `-2d` for `-`; not always valid."""
    return "".join(
        char if char in _PLAIN else "".join(f"-{byte:02x}" for byte in char.encode())
        for char in text
    )


def fields(
    *,
    user: str,
    server: str,
    slug: str,
    server_id: str,
    hub_id: str,
    namespace: str,
    hub_namespace: str,
) -> dict[str, str]:
    """Return what fields mean for a workspace, but for `pod_name`, `pvc_name` and `account`."""
    username, servername = piece(user), piece(server) if server else ""
    user_server = user_server_piece(user, server)
    old_user, old_server = escaped(user), escaped(server)
    return {
        "username": username,
        "servername": servername,
        "user_server": user_server,
        "slug": slug,
        "server_id": server_id,
        "hub_id": hub_id,
        "namespace": namespace,
        "hubnamespace": "user" if hub_namespace == "default" else hub_namespace,
        "unescaped_username": user,
        "unescaped_servername": server,
        "safe_username": username,
        "safe_servername": servername,
        "safe_user_server": user_server,
        "escaped_username": old_user,
        "escaped_servername": old_server,
        "escaped_user_server": f"{old_user}--{old_server}".rstrip("-"),
    }


def expand(template: str, values: Mapping[str, str]) -> str:
    """Expand a template as KubeSpawner does: `{field}`, and `{{` for a brace.

    Hyphens that an empty field leaves at the end are dropped.

    Raises:
        TemplateError: it cannot be expanded.
    """
    out: list[str] = []
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise TemplateError(
            f"{template!r} cannot be expanded: {error}; write {{{{ and }}}} for braces"
        ) from None
    for literal, field, spec, conversion in parts:
        out.append(literal)
        if field is None:
            continue
        if field not in values or spec or conversion:
            shown = (
                f"{{{field}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}"
            )
            raise TemplateError(f"{template!r} cannot be expanded: {_no_field(shown, values)}")
        out.append(values[field])
    text = "".join(out)
    return text if template.endswith("-") or not parts else text.rstrip("-")


def expand_known(template: str, values: Mapping[str, str]) -> str:
    """Replace the fields in a text that may contain other braces, such as a shell's.

    Raises:
        TemplateError: a field is misspelt.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] in values:
            return values[match[1]]
        if difflib.get_close_matches(match[1], values, 1, 0.8):
            raise TemplateError(f"{template!r} cannot be expanded: {_no_field(match[0], values)}")
        return match[0]

    return _FIELD.sub(value, template)


def expand_all(tree: Any, values: Mapping[str, str], *, lenient: bool = False) -> Any:
    """Expand every text in a tree of dicts and lists, but for the keys of dicts."""
    if isinstance(tree, str):
        return expand_known(tree, values) if lenient else expand(tree, values)
    if isinstance(tree, Mapping):
        return {key: expand_all(value, values, lenient=lenient) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [expand_all(value, values, lenient=lenient) for value in tree]
    return tree


def object_name(template: str, values: Mapping[str, str]) -> str:
    """Expand a template to a DNS label of at most 63 bytes, with a hash where it needs one."""
    text = expand(template, values)
    if is_dns_label(text) and len(text) <= MAX_LABEL:
        return text
    return hashed(text, MAX_LABEL)


def label_value(text: str) -> str:
    """Return a label's value for a text: itself if Kubernetes allows it, else one with a hash."""
    return text if is_label_value(text) else hashed(text, MAX_LABEL)


def user_label(user: str) -> str:
    """Return the label of a user: never another's, though a user may be named like a hash."""
    return hashed(user, MAX_LABEL) if "---" in user else label_value(user)


def is_label_value(text: str) -> bool:
    """Whether Kubernetes allows a text as the value of a label."""
    return _LABEL_VALUE.fullmatch(text) is not None


def _no_field(shown: str, values: Mapping[str, str]) -> str:
    name = re.split(r"[^a-z_]", shown.strip("{}"), maxsplit=1)[0]
    near = difflib.get_close_matches(name, values, 1)
    if near and near[0] != name:
        return f"there is no field {shown}; did you mean {{{near[0]}}}?"
    return f"there is no field {shown}; there are {', '.join(f'{{{key}}}' for key in values)}"
