"""`kworkspace-hub user`, `key`, `token` and `check`: what an admin types at the machine of the hub.

    user add NAME... [--admin]     user list     user rename OLD NEW     user remove NAME [--yes]
    key add NAME 'LINE' | - | --file FILE        key list NAME           key remove NAME KEY
    token NAME                                   check

Columns for people; programs use REST.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from traitlets import Bool, TraitError, Unicode

from kworkspace.cli.client import models as m
from kworkspace.cli.client.errors import BadRequest, KworkspaceError, NotFound
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.administration import Administration, administration
from kworkspace.hub.app import Hub
from kworkspace.hub.config_check import ConfigError, explain
from kworkspace.spawners.base import Check, Spawner

MAX_KEY_FILE = 1024 * 1024
NOTE = "made by kworkspace-hub token"
UNREAD = "; no configuration was read: name the file with -f, as the hub is started"

Verb = Callable[[Administration], Coroutine[Any, Any, None]]


class Stopped(KworkspaceError):
    """The person who was asked did not confirm it."""

    code = "stopped"


class Incomplete(KworkspaceError):
    """The spawner lacks something that it needs."""

    code = "incomplete"


class AdminApp(Hub):
    """A command of words: `VERB NAME...`."""

    subcommands: dict[str, Any] = {}
    flags: dict[str, Any] = {}
    takes_words = True
    usage: ClassVar[dict[str, str]] = {}

    def _run(self) -> None:
        asyncio.run(self._with(self._verb()))

    def _verb(self) -> Verb:
        """Return what the words ask for; checked before anything is opened."""
        verb, *words = self.extra_args or [""]
        if verb not in self.usage:
            command, known = self.name.rpartition(" ")[2], ", ".join(self.usage)
            raise ConfigError(
                f"{command}: there is no '{verb}'; there are {known}"
                if verb
                else f"{command}: say what to do: {known}"
            )
        found: Verb | None = getattr(self, f"_{verb}")(words)
        if found is None:
            raise ConfigError(f"Give it as: {self.name} {self.usage[verb]}")
        return found

    async def _with(self, verb: Verb) -> None:
        async with administration(self) as admin:
            try:
                await verb(admin)
            except NotFound as error:
                hint = "" if self.file else UNREAD
                raise NotFound(f"{error.message}{hint}") from error


class UserApp(AdminApp):
    """Adds, lists, renames and removes users."""

    name = "kworkspace-hub user"
    usage = {
        "add": "add NAME... [--admin]",
        "list": "list",
        "rename": "rename OLD NEW",
        "remove": "remove NAME [--yes]",
    }
    description = "Users of the database: " + "; ".join(usage.values())
    examples = "\n".join(f"kworkspace-hub user {line}" for line in usage.values())
    flags = {
        "admin": ({"UserApp": {"admin": True}}, "Who is added is an admin."),
        "yes": ({"UserApp": {"yes": True}}, "Remove without asking."),
    }

    admin = Bool(False, help="Whether who is added is an admin.").tag(config=True)
    yes = Bool(False, help="Whether to remove without asking.").tag(config=True)

    def _add(self, words: Sequence[str]) -> Verb | None:
        if not words:
            return None

        async def add(admin: Administration) -> None:
            for user in await admin.add_users(m.NewUsers(usernames=list(words), admin=self.admin)):
                _say(f"Added {user.name}" + (", an admin" if user.admin else ""))

        return add

    def _list(self, words: Sequence[str]) -> Verb | None:
        async def show(admin: Administration) -> None:
            say_columns(
                ("NAME", "ADMIN", "WORKSPACES", "LAST ACTIVITY"),
                (
                    (
                        user.name,
                        "yes" if user.admin else "",
                        str(len(user.servers)),
                        f"{user.last_activity:%Y-%m-%d %H:%M}" if user.last_activity else "never",
                    )
                    for user in await admin.users()
                ),
            )

        return None if words else show

    def _rename(self, words: Sequence[str]) -> Verb | None:
        if len(words) != 2:
            return None
        old, new = (parse_user_name(word) for word in words)

        async def rename(admin: Administration) -> None:
            user = await admin.change_user(old, m.UserChange(name=new))
            _say(f"{old} is {user.name} now")

        return rename

    def _remove(self, words: Sequence[str]) -> Verb | None:
        if len(words) != 1:
            return None
        name = parse_user_name(words[0])

        async def remove(admin: Administration) -> None:
            await admin.keys(name)  # whether there is such a user, before anybody is asked
            await self._confirm(name)
            gone = await admin.remove_user(name)
            _say(f"Removed {name}" if gone else f"{name} is being removed by the hub")

        return remove

    async def _confirm(self, name: str) -> None:
        what = f"This removes {name} with all their workspaces and the files in them, for ever."
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise BadRequest(f"{what} Nobody is there to be asked: say --yes")
        sys.stderr.write(f"{what}\nType the name to do it: ")
        sys.stderr.flush()
        typed = await asyncio.to_thread(sys.stdin.readline)
        if typed.strip() != name:
            raise Stopped("That is not the name; nothing was removed")


class KeyApp(AdminApp):
    """Adds, lists and removes public keys."""

    name = "kworkspace-hub key"
    usage = {
        "add": "add NAME 'LINE' (or -, or --file FILE)",
        "list": "list NAME",
        "remove": "remove NAME KEY",
    }
    description = "Public keys of the database: " + "; ".join(usage.values())
    examples = "\n".join(f"kworkspace-hub key {line}" for line in usage.values())
    aliases = {**Hub.aliases, "file": "KeyApp.file_of_keys"}

    file_of_keys = Unicode("", help="A file of keys to add, one a line.").tag(config=True)

    def _add(self, words: Sequence[str]) -> Verb | None:
        if len(words) != (1 if self.file_of_keys else 2):
            return None
        user = parse_user_name(words[0])
        lines = list(self._lines(words[1:]))

        async def add(admin: Administration) -> None:
            for where, line in lines:
                try:
                    key = await admin.add_key(user, line)
                except BadRequest as error:
                    raise BadRequest(f"{where}{error.message}") from error
                _say(f"Added {key.fingerprint} {key.comment}".rstrip())

        return add

    def _lines(self, words: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Yield the keys to add, with where each is."""
        if words and words[0] != "-":
            yield "", words[0]
            return
        source = self.file_of_keys or "-"
        for number, line in enumerate(_read(source).splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield f"{source}:{number}: ", line

    def _list(self, words: Sequence[str]) -> Verb | None:
        if len(words) != 1:
            return None
        user = parse_user_name(words[0])

        async def show(admin: Administration) -> None:
            say_columns(
                ("FINGERPRINT", "TYPE", "COMMENT", "OPTIONS", "KEPT IN"),
                (
                    (key.fingerprint, key.type, key.comment, key.options, key.source)
                    for key in await admin.keys(user)
                ),
            )

        return show

    def _remove(self, words: Sequence[str]) -> Verb | None:
        if len(words) != 2:
            return None
        user, wanted = parse_user_name(words[0]), words[1]

        async def remove(admin: Administration) -> None:
            keys = [key for key in await admin.keys(user) if key.fingerprint == wanted]
            if not keys:
                raise NotFound(f"User {user} has no key {wanted}; `key list {user}` shows them")
            if keys[0].id is None:
                raise BadRequest(f"This key is kept in the {keys[0].source}: remove it there")
            await admin.remove_key(user, keys[0].id)
            _say(f"Removed {wanted}; what was opened with it ends")

        return remove


class TokenApp(AdminApp):
    """Prints a new API token for a user."""

    name = "kworkspace-hub token"
    description = "Print a new API token for a user: kworkspace-hub token NAME"
    examples = "kworkspace-hub token -f hub_config.py NAME"

    def _verb(self) -> Verb:
        if len(self.extra_args) != 1:
            raise ConfigError("Give one user name: kworkspace-hub token NAME")
        user = parse_user_name(self.extra_args[0])

        async def token(admin: Administration) -> None:
            _say(await admin.new_token(user, NOTE))

        return token


class CheckApp(Hub):
    """Asks the spawner whether it has what it needs, such as its rights in a cluster."""

    name = "kworkspace-hub check"
    description = "Print what the spawner needs and whether it has it; exit code 1 if it does not."
    examples = "kworkspace-hub check -f hub_config.py"
    subcommands: dict[str, Any] = {}
    flags: dict[str, Any] = {}

    def _run(self) -> None:
        try:
            found = asyncio.run(self._ask())
        except TraitError as error:
            raise explain(error, self.config, self.file) from error
        say_columns(
            ("NEEDED", "WHERE", "", "FOR"),
            ((each.what, each.where, _verdict(each), each.detail) for each in found),
        )
        missing = [each for each in found if each.required and not each.ok]
        if missing:
            raise Incomplete(f"{len(missing)} of {len(found)} are missing; see above")

    async def _ask(self) -> Sequence[Check]:
        spawner: Spawner = self.spawner_class(
            parent=self, hub_id="check", data_dir=Path(self.data_dir), on_exit=lambda _exit: None
        )
        return await spawner.check()


def _verdict(check: Check) -> str:
    if check.ok:
        return "ok"
    return "MISSING" if check.required else "missing, not required"


def _read(source: str) -> str:
    """Return the text of a file, or of standard input.

    Raises:
        BadRequest: it cannot be read, or is no text of keys.
    """
    try:
        if source == "-":
            text = sys.stdin.read(MAX_KEY_FILE + 1)
        else:
            with Path(source).open("rb") as file:
                text = file.read(MAX_KEY_FILE + 1).decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{source}: not a text of public keys") from None
    except OSError as error:
        raise BadRequest(f"{source} cannot be read: {error.strerror}") from error
    if len(text) > MAX_KEY_FILE:
        raise BadRequest(f"{source}: more than {MAX_KEY_FILE} bytes, which no file of keys has")
    return text


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def say_columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people."""
    lines = [titles, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        _say(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
