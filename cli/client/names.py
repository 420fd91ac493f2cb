"""The grammar of names, parsed once into plain values.

    user      = 1 to 255 bytes of NFC text, lower-cased, none of `/ + = : @ %`, shell
                metacharacters, white space or control characters, no leading `-` or `.`;
                not `invite`, `kworkspace`
    workspace = "" (the default one) or a DNS label (RFC 1123, section 2.1)
    login     = [ admin "=" ] user [ "+" workspace ]

`%` and the shell's metacharacters are refused because OpenSSH expands or refuses them in a login
name (ssh_config(5), TOKENS; ssh.c, valid_ruser): such a user could never log in.
"""

import re
import unicodedata
from dataclasses import dataclass

from kworkspace.cli.client.errors import InvalidName

INVITE = "invite"
"""The login of those who have a code and no key here yet."""

RESERVED_USER_NAMES = frozenset({INVITE, "kworkspace"})
MAX_USER_NAME_BYTES = 255

_FORBIDDEN_IN_USER = frozenset("/+=:@%'`\";&<>|(){}$\\")
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def parse_user_name(text: str, field: str = "name") -> str:
    """Return the name as it is kept: NFC and lower-cased.

    Args:
        text: what a person wrote.
        field: how the error calls it.

    Raises:
        InvalidName: the grammar does not allow it; the message says what is wrong.
    """
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    if not name:
        raise InvalidName(f"{field}: a user name must not be empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName(f"{field}: a user name must be valid Unicode text") from None
    if size > MAX_USER_NAME_BYTES:
        raise InvalidName(
            f"{field}: a user name has at most {MAX_USER_NAME_BYTES} bytes, this one has {size}"
        )
    if name[0] in "-.":
        raise InvalidName(f"{field}: a user name must not begin with '{name[0]}'")
    for char in name:
        if char in _FORBIDDEN_IN_USER:
            raise InvalidName(f"{field}: a user name must not contain '{char}'")
        if char.isspace() or unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}:
            raise InvalidName(
                f"{field}: a user name must not contain white space or control characters"
                f" (U+{ord(char):04X})"
            )
    if name in RESERVED_USER_NAMES:
        raise InvalidName(f"{field}: '{name}' is a reserved name")
    return name


def is_dns_label(text: str) -> bool:
    """Whether the text is a DNS label: 1 to 63 of a-z, 0-9 and inner hyphens (RFC 1123)."""
    return _DNS_LABEL.fullmatch(text) is not None


def parse_workspace_name(text: str, field: str = "server_name") -> str:
    """Return the workspace's name; "" is the default workspace.

    Raises:
        InvalidName: it is not a DNS label.
    """
    if text and not is_dns_label(text):
        raise InvalidName(
            f"{field}: a workspace name has 1 to 63 of the characters a-z, 0-9 and '-',"
            " and neither begins nor ends with '-'"
        )
    return text


@dataclass(frozen=True, slots=True)
class Login:
    """An SSH login name, parsed.

    Attributes:
        user: whose workspace.
        server: which of them; "" is the default one.
        admin: who comes in, when it is an admin in another person's workspace.
    """

    user: str
    server: str = ""
    admin: str | None = None

    @property
    def actor(self) -> str:
        """Whose key it must be."""
        return self.user if self.admin is None else self.admin

    def __str__(self) -> str:
        prefix = "" if self.admin is None else f"{self.admin}="
        return f"{prefix}{self.user}" + (f"+{self.server}" if self.server else "")


def parse_login(text: str) -> Login:
    """Parse `NAME`, `NAME+gpu` or `ADMIN=NAME+gpu`.

    Raises:
        InvalidName: the grammar does not allow it.
    """
    admin, equals, rest = text.rpartition("=")
    user, plus, server = rest.partition("+")
    if plus and not server:
        raise InvalidName("login: a workspace name must follow the '+'")
    return Login(
        user=parse_user_name(user, "login"),
        server=parse_workspace_name(server, "login"),
        admin=parse_user_name(admin, "login") if equals else None,
    )
