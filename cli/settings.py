"""Where a setting comes from: flag, then environment, then the configuration file, then a default.

The file is TOML, `~/.config/kworkspace/config.toml` under XDG_CONFIG_HOME, with the keys `api`,
`user`, `ssh_key_path`, `ca_file` and `state_dir`; before the defaults comes the file of the
command's predecessor. Whatever is wrong is one line that names its source. This module reads; it
never writes (see `config_file`) and never asks the hub.
"""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kworkspace.cli.client.challenge import normal_url
from kworkspace.cli.client.errors import BadRequest, InvalidName
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.names import parse_user_name

KEYS = ("api", "user", "ssh_key_path", "ca_file", "state_dir")
# The predecessor's keys, as its client of 2021 to 2022 wrote them.
_PREDECESSOR = {"api_url": "api", "username": "user", "ssh_key_path": "ssh_key_path"}


@dataclass(slots=True)
class Flags:
    """The options that every command takes, as far as they were given."""

    user: str | None = None
    ssh_key_path: str | None = None
    api: str | None = None
    config: str | None = None
    output: str | None = None

    @property
    def json(self) -> bool:
        """Whether the result is wanted as JSON."""
        return self.output == "json"


class NoHub(UsageFault):
    """No source names a hub: on a terminal `main` asks for one (see `first_run`).

    Args:
        message: for where there is nobody to ask.
        flags: of this run.
    """

    def __init__(self, message: str, flags: Flags) -> None:
        super().__init__(message)
        self.flags = flags


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command works with.

    Attributes:
        api: the hub's URL, normalised as it is signed.
        user: the user name at the hub.
        ssh_key_path: the one key to use; None tries the agent's and ssh's default ones.
        ca_file: a file of CA certificates to trust instead of the system's.
        state_dir: where the command keeps its own files (see `state`).
        config: the configuration file, if another one than the default was named.
    """

    api: str
    user: str
    state_dir: Path
    ssh_key_path: Path | None = None
    ca_file: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A setting as it was written.

    Attributes:
        text: what was written.
        source: where, as an error names it.
        base: where a relative path begins.
    """

    text: str
    source: str
    base: Path

    def path(self) -> Path:
        """The value as a path."""
        try:
            return self.base / Path(self.text).expanduser()
        except RuntimeError:
            raise UsageFault(f"{self.source}: {self.text} begins with no account's home") from None

    def file(self) -> Path:
        """The value as a path that must be a file."""
        path = self.path()
        if not path.is_file():
            raise UsageFault(f"{self.source}: there is no file {path}")
        return path


def load(flags: Flags, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of this run.

    Raises:
        UsageFault: a value is missing or wrong; the message names its source.
    """
    file = config_file(flags, environ)
    values = written(flags, environ)
    here = Path.cwd()
    key_path, ca_file, state = (values.get(key) for key in ("ssh_key_path", "ca_file", "state_dir"))
    return Settings(
        api=_api(values.get("api"), file, flags),
        user=_user(values.get("user"), here),
        state_dir=state.path() if state else state_directory(environ),
        ssh_key_path=key_path.file() if key_path else None,
        ca_file=ca_file.file() if ca_file else None,
        config=file if flags.config or environ.get("KWORKSPACE_CONFIG") else None,
    )


def written(flags: Flags, environ: Mapping[str, str] = os.environ) -> dict[str, Value]:
    """Return the settings that any source names, each from the source that wins.

    Raises:
        UsageFault: a file cannot be read.
    """
    file, old, here = config_file(flags, environ), predecessor_file(), Path.cwd()
    values = {
        key: Value(text, f"{old}: {name}", old.parent)
        for name, (key, text) in _read_predecessor(old).items()
    }
    for key, text in read_file(file).items():
        values[key] = Value(text, f"{file}: {key}", file.parent)
    for key in ("api", "user", "ssh_key_path"):
        variable = f"KWORKSPACE_{key.upper()}"
        if environ.get(variable):
            values[key] = Value(environ[variable], variable, here)
        if flag := getattr(flags, key):
            values[key] = Value(flag, f"--{key.replace('_', '-')}", here)
    return values


def config_file(flags: Flags, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the configuration file of this run; the default one need not exist.

    Raises:
        UsageFault: it was named and does not exist.
    """
    for text, source in (
        (flags.config, "--config"),
        (environ.get("KWORKSPACE_CONFIG"), "KWORKSPACE_CONFIG"),
    ):
        if text:
            return Value(text, source, Path.cwd()).file()
    return xdg_directory(environ, "XDG_CONFIG_HOME", ".config") / "config.toml"


def xdg_directory(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """Return kworkspace's folder below an XDG base directory.

    Source: the XDG Base Directory Specification; a relative value is to be ignored.
    """
    base = Path(environ.get(variable, ""))
    if not base.is_absolute():
        base = Path.home() / default
    return base / "kworkspace"


def predecessor_file() -> Path:
    """Return where the predecessor of this command keeps its settings."""
    return Path.home() / ".config/kube-workspaces/config.json"


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state folder of a person who chose none."""
    return xdg_directory(environ, "XDG_STATE_HOME", ".local/state")


def read_file(file: Path) -> dict[str, str]:
    """Return what the configuration file says; nothing where there is none.

    Raises:
        UsageFault: it cannot be read, or says what it must not.
    """
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(f"{file} cannot be read: {error}") from error
    return parse_toml(text, file)


def parse_toml(text: str, file: Path) -> dict[str, str]:
    """Return the settings that the text of a configuration file holds.

    Raises:
        UsageFault: it holds something else; the message names the file.
    """
    import tomllib  # noqa: PLC0415 - not needed where there is no file

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageFault(f"{file} is not TOML: {error}") from error
    for key, value in table.items():
        if key not in KEYS:
            raise UsageFault(f"{file}: unknown key '{key}'; the keys are {', '.join(KEYS)}")
        if not isinstance(value, str):
            raise UsageFault(f"{file}: {key} must be a text in quotes")
    return {key: value for key, value in table.items() if value}


def _read_predecessor(file: Path) -> dict[str, tuple[str, str]]:
    """Return its key, our key and the value; what it does not know is not ours to judge."""
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageFault(f"{file} cannot be read: {error.strerror}") from error
    import json  # noqa: PLC0415 - few have this file

    try:
        table = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageFault(f"{file} is not JSON ({error}): mend or delete it") from error
    if not isinstance(table, dict):
        raise UsageFault(f"{file} holds no JSON object: mend or delete it")
    return {
        name: (key, table[name])
        for name, key in _PREDECESSOR.items()
        if isinstance(table.get(name), str) and table[name]
    }


def _api(value: Value | None, file: Path, flags: Flags) -> str:
    if value is None:
        raise NoHub(
            "which hub? Give its URL with --api or KWORKSPACE_API,"
            f' or write api = "https://..." into {file}',
            flags,
        )
    try:
        return normal_url(value.text)
    except BadRequest as error:
        message = error.message.removeprefix("url: ")
        raise UsageFault(f"{value.source}: {message}, such as https://hub.example.org") from error


def account() -> str | None:
    """Return the name of the account on this computer, the default of `user`; None has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None


def _user(value: Value | None, here: Path) -> str:
    if value is None and (name := account()) is not None:
        value = Value(name, "your account's name", here)
    if value is None:
        raise UsageFault("your account has no name here; give one with --user")
    try:
        return parse_user_name(value.text, value.source)
    except InvalidName as error:
        raise UsageFault(f"{error.message}; set another with --user") from error
