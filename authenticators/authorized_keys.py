"""Lines of authorized_keys: a key and the options in front of it (sshd(8)).

    line    = [ options blank ] type blank base64 [ blank comment ]
    options = option *("," option)
    option  = name [ "=" DQUOTE value DQUOTE ]        ; in the value, \\" is a quote

Two options say when a key holds: `from="..."` and `expiry-time="..."`. The others bound what a
login may do at the server that reads them, which is not this one: they are refused, rather than
ignored. The same parser reads the configuration, the directory's files and what REST is given.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from kworkspace.authenticators.addresses import AddressPatterns, parse_patterns
from kworkspace.authenticators.keys import KEY_TYPES, MAX_LINE_LENGTH, PublicKey, parse_public_key
from kworkspace.cli.client.errors import BadRequest

BOM = "\ufeff"

_BLANK = re.compile(r"[ \t]+")
_OPTION = re.compile(r'(?P<name>[A-Za-z0-9-]+)(?:="(?P<value>(?:\\"|[^"])*)")?')
_TIME = re.compile(r"(\d{8})(\d{4}(?:\d\d)?)?(Z?)", re.ASCII)
_FORM = '{what}: what stands in front of the key must be options, name="value",name="value"'
_HONOURED = frozenset({"from", "expiry-time"})
_REFUSED = frozenset(
    {
        *("agent-forwarding", "cert-authority", "command", "environment", "no-agent-forwarding"),
        *("no-port-forwarding", "no-pty", "no-touch-required", "no-user-rc", "no-x11-forwarding"),
        *("permitlisten", "permitopen", "port-forwarding", "principals", "pty", "restrict"),
        *("tunnel", "user-rc", "verify-required", "x11-forwarding"),
    }
)


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """A key, and when it holds.

    Attributes:
        key: the public key.
        options: what stood in front of it, "" for nothing.
        expires: the last moment at which it holds; None: for ever.
        addresses: from where it holds; None: from everywhere.
    """

    key: PublicKey
    options: str = ""
    expires: datetime | None = None
    addresses: AddressPatterns | None = None

    @property
    def algorithm(self) -> str:
        """The key's type."""
        return self.key.algorithm

    @property
    def blob(self) -> bytes:
        """The key as it goes over the wire."""
        return self.key.blob

    @property
    def comment(self) -> str:
        """What followed the key on its line."""
        return self.key.comment

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, as `ssh-keygen -l` shows it."""
        return self.key.fingerprint

    @property
    def line(self) -> str:
        """The line again, blanks set right: options, type, base64, comment."""
        return f"{self.options} {self.key.line}" if self.options else self.key.line

    @property
    def is_unconditional(self) -> bool:
        """Whether it holds always and from everywhere."""
        return self.expires is None and self.addresses is None

    def is_current(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now <= self.expires

    def holds(self, now: datetime, address: str) -> bool:
        """Whether it holds at this time, from this IP address."""
        return self.is_current(now) and (self.addresses is None or self.addresses.match(address))


def parse_authorized_key(line: str, what: str = "public_key") -> AuthorizedKey:
    """Read a line of authorized_keys, or of `id_ed25519.pub`.

    Args:
        line: one key; a byte order mark, blanks around it and its line's end do not matter.
        what: how the error calls it.

    Raises:
        BadRequest: it is no key, or one that is not accepted, or an option is not honoured; the
            key itself is not repeated.
    """
    text = line.removeprefix(BOM).strip(" \t\r\n")
    if len(text) > MAX_LINE_LENGTH:
        raise BadRequest(f"{what}: the line has more than {MAX_LINE_LENGTH} characters")
    if "\n" in text:
        raise BadRequest(f"{what}: a line break is in it; one key is one line")
    options, rest = _split_options(text, what)
    key = parse_public_key(" ".join(_BLANK.split(rest)), what)
    if not options:
        return AuthorizedKey(key)
    return _with_options(key, options, what)


def _split_options(text: str, what: str) -> tuple[str, str]:
    """Return the options, "" for none, and the key that follows."""
    first = _BLANK.split(text, 1)[0]
    is_certificate = "-cert-v" in first and "=" not in first
    if first in KEY_TYPES or is_certificate or not _names_a_type(text):
        return "", text  # what is wrong with it, the key's parser says
    quoted, end = False, 0
    while end < len(text) and (quoted or text[end] not in " \t"):
        if text.startswith('\\"', end):
            end += 1
        elif text[end] == '"':
            quoted = not quoted
        end += 1
    if quoted:
        raise BadRequest(f"{what}: a quote in the options in front of the key is not closed")
    options, rest = text[:end], text[end:].lstrip(" \t")
    if not options.isprintable():
        raise BadRequest(f"{what}: a control character is in the options in front of the key")
    if _BLANK.split(rest, 1)[0] not in KEY_TYPES and _names_a_type(rest):
        raise BadRequest(_FORM.format(what=what))
    return options, rest


def _names_a_type(text: str) -> bool:
    return any(kind in text for kind in KEY_TYPES)


def _with_options(key: PublicKey, options: str, what: str) -> AuthorizedKey:
    """Read the options; as in OpenSSH, names in any case, of several times the earliest."""
    expires: datetime | None = None
    addresses: AddressPatterns | None = None
    position = 0
    while True:
        match = _OPTION.match(options, position)
        name = match["name"].lower() if match else ""
        if match is None or options[match.end() : match.end() + 1] not in {"", ","}:
            raise BadRequest(_FORM.format(what=what))
        _check_name(name, what)
        if match["value"] is None:
            raise BadRequest(f'{what}: the option {name} needs a value: {name}="..."')
        value = match["value"].replace('\\"', '"')
        if name == "expiry-time":
            time = _parse_time(value, what)
            expires = time if expires is None else min(expires, time)
        elif addresses is not None:
            raise BadRequest(f"{what}: from= is there twice; put all patterns into one")
        else:
            addresses = parse_patterns(value, what)
        if match.end() == len(options):
            return AuthorizedKey(key, options, expires, addresses)
        position = match.end() + 1


def _check_name(name: str, what: str) -> None:
    if name in _HONOURED:
        return
    if name in _REFUSED:
        raise BadRequest(
            f"{what}: the option {name} has no meaning here; take it out (from= and expiry-time="
            " are honoured)"
        )
    raise BadRequest(
        f"{what}: an unknown option stands in front of the key; from= and expiry-time= are honoured"
    )


def _parse_time(text: str, what: str) -> datetime:
    """Read `YYYYMMDD[HHMM[SS]][Z]`: with Z in UTC, without it in the system's time zone."""
    match = _TIME.fullmatch(text)
    day, time, zone = match.groups(default="") if match else ("", "", "")
    try:
        naive = datetime.strptime(day + time.ljust(6, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007  # below
        return naive.replace(tzinfo=UTC) if zone else naive.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{what}: expiry-time= takes YYYYMMDD or YYYYMMDDHHMM[SS], with a Z for UTC"
        ) from None
