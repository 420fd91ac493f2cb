"""Says what is wrong in a configuration, in one line: the option, its file and line, what is right.

traitlets only warns of an option that nobody has, and names neither file nor line. The line is
found by reading the file's syntax tree for `c.Class.option`.
"""

import ast
import difflib
from collections.abc import Iterable
from pathlib import Path

from traitlets import TraitError
from traitlets.config import Config, Configurable

from kworkspace.cli.client.errors import KworkspaceError


class ConfigError(KworkspaceError):
    """An option is wrong; the hub ends with the message."""

    code = "configuration"


def check_options(config: Config, classes: Iterable[type[Configurable]], file: Path | None) -> None:
    """Refuse options that do not exist.

    Args:
        config: what was loaded.
        classes: all classes that can be configured; their bases count too.
        file: the configuration file, to name the line.

    Raises:
        ConfigError: an option or a section does not exist.
    """
    sections = {
        base.__name__: base
        for kind in classes
        for base in kind.__mro__
        if issubclass(base, Configurable)
    }
    for section, options in config.items():
        kind = sections.get(section)
        if kind is None:
            near = difflib.get_close_matches(section, sections, 1)
            hint = f"did you mean c.{near[0]}?" if near else "see kworkspace-hub --help-all"
            raise ConfigError(f"{place(file, section)}c.{section}: there is no such class; {hint}")
        allowed = kind.class_trait_names(config=True)
        for option in options:
            if option not in allowed:
                near = difflib.get_close_matches(option, allowed, 1)
                hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(allowed)}"
                raise ConfigError(
                    f"{place(file, section, option)}c.{section}.{option}: no such option; {hint}"
                )


def explain(error: TraitError, config: Config, file: Path | None) -> ConfigError:
    """Make one line of what traitlets says of a wrong value."""
    text = " ".join(str(error).split())
    for section, options in config.items():
        for option in options:
            name = f"c.{section}.{option}"
            if text.startswith(name):
                return ConfigError(f"{place(file, section, option)}{text}")
            if f"'{option}' trait" in text:
                return ConfigError(f"{place(file, section, option)}{name}: {text}")
    return ConfigError(f"{file}: {text}" if file else text)


def place(file: Path | None, section: str, option: str | None = None) -> str:
    """Return `FILE:LINE: ` of an option in the configuration file, "" if it is not from there."""
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return f"{file}: "
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _matches(node, section, option)
    ]
    return f"{file}:{max(lines)}: " if lines else ""  # what is said last counts


def _matches(node: ast.Attribute, section: str, option: str | None) -> bool:
    if option is None:
        return node.attr == section and isinstance(node.value, ast.Name)
    owner = node.value
    return node.attr == option and isinstance(owner, ast.Attribute) and owner.attr == section
