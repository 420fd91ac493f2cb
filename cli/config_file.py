"""Writes settings into config.toml and keeps everything else in it: comments, order, line ends.

Called by `config set` and by the first run's questions. A line is changed only where the outcome
reads back as meant.
"""

import json
import re
from pathlib import Path

from kworkspace.cli import edits
from kworkspace.cli.client.challenge import normal_url
from kworkspace.cli.client.errors import BadRequest, InvalidName
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.names import parse_user_name
from kworkspace.cli.settings import KEYS, Value, parse_toml

_ONE_LINE = r"""[ \t]*=[ \t]*("[^"\\\r\n]*"|'[^'\r\n]*')(?P<rest>[ \t]*(#[^\r\n]*)?\r?\n?)"""


def checked(key: str, text: str) -> str:
    """Return the value of a setting as the file shall hold it: a path is absolute, or has a `~`.

    Raises:
        UsageFault: it is no key, or the value is not one of it.
    """
    if key not in KEYS:
        raise UsageFault(f"there is no setting '{key}'; the keys are {', '.join(KEYS)}")
    try:
        if key == "api":
            return normal_url(text)
        if key == "user":
            return parse_user_name(text)
    except InvalidName as error:
        raise UsageFault(error.message) from error
    except BadRequest as error:
        message = error.message.removeprefix("url: ")
        raise UsageFault(f"{key}: {message}, such as https://hub.example.org") from error
    value = Value(text, key, Path.cwd())
    path = value.path() if key == "state_dir" else value.file()
    return text if text.startswith("~") else str(path)


def write(file: Path, changes: dict[str, str]) -> bool:
    """Change settings in the file, which is made if it is not there; whether it changed.

    Args:
        file: the configuration file.
        changes: key to value; "" takes the key away.

    Raises:
        UsageFault: the file is wrong already, or cannot be changed without breaking it.
        OSError: it cannot be written.
    """
    before = edits.read(file)
    try:
        text = before.decode()
    except UnicodeDecodeError as error:
        raise UsageFault(f"{file} cannot be read: {error}") from error
    wanted = {key: value for key, value in {**_settings(text, file), **changes}.items() if value}
    for key, value in changes.items():
        text = _with_line(text, key, value)
    try:
        understood = _settings(text, file) == wanted
    except UsageFault:
        understood = False
    if not understood:
        keys = ", ".join(changes)
        raise UsageFault(f"{file} is written in a way that is not understood: set {keys} by hand")
    if text.encode() == before:
        return False
    edits.replace(file, text.encode())
    return True


def _settings(text: str, file: Path) -> dict[str, str]:
    return {key: value for key, value in parse_toml(text, file).items() if value}


def _with_line(text: str, key: str, value: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    pattern = re.compile(rf"^[ \t]*{key}{_ONE_LINE}", re.MULTILINE)
    # JSON's strings of printable characters are TOML's basic strings.
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    if match := pattern.search(text):
        new = line + match["rest"] if value else ""
        return text[: match.start()] + new + text[match.end() :]
    if not value:
        return text
    return text + (end if text and not text.endswith("\n") else "") + line + end
