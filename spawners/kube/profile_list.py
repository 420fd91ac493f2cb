"""`c.KubeSpawner.profile_list`: what may stand in it, read into plain values.

The shape is KubeSpawner's. `profiles` applies what was chosen. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kworkspace.spawners.kube.schema import SchemaError
from kworkspace.spawners.kube.traits import Kube

VALUE = "{value}"
_PROFILE_KEYS = ("display_name", "slug", "description", "default", "profile_options")
_OPTION_KEYS = ("display_name", "choices", "unlisted_choice")
_CHOICE_KEYS = ("display_name", "default")
_UNLISTED_KEYS = (
    "enabled",
    "display_name",
    "display_name_in_choices",
    "validation_regex",
    "validation_message",
)
_OVERRIDES = ("overrides", "kubespawner_override")

Overrides = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What may be typed instead of a choice.

    Attributes:
        overrides: options, with `{value}` for what was typed.
        pattern: what it must match, if not "".
        message: what to say if it does not.
    """

    overrides: Overrides
    pattern: str = ""
    message: str = ""

    @property
    def wanted(self) -> str:
        """What may be typed, for people."""
        return self.message or (f"it must match {self.pattern}" if self.pattern else "anything")


@dataclass(frozen=True, slots=True)
class Choosable:
    """An option of a profile.

    Attributes:
        name: its key.
        choices: overrides by choice.
        default: the choice that counts if none is made, None if there is none.
        unlisted: what may be typed, None if nothing.
    """

    name: str
    choices: Mapping[str, Overrides]
    default: str | None
    unlisted: Unlisted | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A profile.

    Attributes:
        slug: its name in requests.
        title: its name for people.
        description: of it.
        default: whether it counts if nothing is asked for.
        overrides: options that it sets.
        options: what can be chosen in it.
    """

    slug: str
    title: str
    description: str = ""
    default: bool = False
    overrides: Overrides = field(default_factory=dict)
    options: tuple[Choosable, ...] = ()


class ProfileList(Kube):
    """A list or dictionary of profiles, or a callable that returns one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__([], may_call=True, **kwargs)

    def check(self, value: Any) -> Any:
        """Refuse what does not have the shape."""
        parse(value)
        return value


def parse(value: Any) -> tuple[Listed, ...]:
    """Return the profiles of a list, or of a dictionary by slug, in its order.

    Raises:
        SchemaError: an unknown key, a wrong type, or a name twice.
    """
    if isinstance(value, Mapping):
        items = [(f"['{key}']", key, item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = [(f"[{index}]", None, item) for index, item in enumerate(value)]
    else:
        raise SchemaError(f"expected a list or a dictionary, not {value!r}")
    profiles = [_profile(where, _name(where, key), item) for where, key, item in items]
    seen: set[str] = set()
    for profile in profiles:
        if profile.slug in seen:
            raise SchemaError(f"there are two profiles '{profile.slug}'")
        seen.add(profile.slug)
    if sum(profile.default for profile in profiles) > 1:
        raise SchemaError("more than one profile is the default")
    if profiles and not any(profile.default for profile in profiles):
        first = profiles[0]
        profiles[0] = Listed(
            first.slug, first.title, first.description, True, first.overrides, first.options
        )
    return tuple(profiles)


def _profile(where: str, key: str | None, item: Any) -> Listed:
    _keys(where, item, (*_PROFILE_KEYS, *_OVERRIDES))
    title = _text(where, item, "display_name") or _text(where, item, "slug") or key or ""
    if not title:
        raise SchemaError(f"{where}: 'display_name' is missing")
    slug = _text(where, item, "slug") or key or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    if not slug:
        raise SchemaError(f"{where}: 'slug' is missing, and display_name gives none")
    options = item.get("profile_options") or {}
    if not isinstance(options, Mapping):
        raise SchemaError(f"{where}.profile_options: expected a dictionary, not {options!r}")
    return Listed(
        slug=slug,
        title=title,
        description=_text(where, item, "description"),
        default=_flag(where, item, "default"),
        overrides=_overrides(where, item),
        options=tuple(
            _option(f"{where}.profile_options['{name}']", name, option)
            for name, option in options.items()
        ),
    )


def _option(where: str, name: Any, item: Any) -> Choosable:
    if not isinstance(name, str) or name == "profile":
        raise SchemaError(f"{where}: an option cannot be called {name!r}")
    _keys(where, item, _OPTION_KEYS)
    choices = item.get("choices") or {}
    if not isinstance(choices, Mapping):
        raise SchemaError(f"{where}.choices: expected a dictionary, not {choices!r}")
    for choice, of in choices.items():
        _name(f"{where}.choices", choice)
        _keys(f"{where}.choices['{choice}']", of, (*_CHOICE_KEYS, *_OVERRIDES))
    defaults = [choice for choice, of in choices.items() if of.get("default")]
    if len(defaults) > 1:
        raise SchemaError(f"{where}: more than one choice is the default")
    unlisted = _unlisted(f"{where}.unlisted_choice", item.get("unlisted_choice") or {})
    if not choices and unlisted is None:
        raise SchemaError(f"{where}: there are no choices")
    return Choosable(
        name=name,
        choices={
            choice: _overrides(f"{where}.choices['{choice}']", of) for choice, of in choices.items()
        },
        default=defaults[0] if defaults else next(iter(choices), None),
        unlisted=unlisted,
    )


def _unlisted(where: str, item: Any) -> Unlisted | None:
    _keys(where, item, (*_UNLISTED_KEYS, *_OVERRIDES))
    if not _flag(where, item, "enabled"):
        return None
    pattern = _text(where, item, "validation_regex")
    try:
        re.compile(pattern)
    except re.error as error:
        raise SchemaError(f"{where}.validation_regex: {pattern!r}: {error}") from None
    return Unlisted(_overrides(where, item), pattern, _text(where, item, "validation_message"))


def _overrides(where: str, item: Mapping[str, Any]) -> Overrides:
    given = [key for key in _OVERRIDES if item.get(key) is not None]
    if len(given) > 1:
        raise SchemaError(f"{where}: {given[0]} and {given[1]} are the same; write one")
    overrides = item[given[0]] if given else {}
    if not isinstance(overrides, Mapping) or not all(isinstance(key, str) for key in overrides):
        raise SchemaError(f"{where}.{given[0]}: expected a dictionary, not {overrides!r}")
    return overrides


def _name(where: str, key: Any) -> str | None:
    if key is not None and not isinstance(key, str):
        raise SchemaError(f"{where}: expected a text as key, not {key!r}")
    return key


def _keys(where: str, item: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(item, Mapping):
        raise SchemaError(f"{where}: expected a dictionary, not {item!r}")
    for key in item:
        if key not in allowed:
            raise SchemaError(f"{where}: there is no key {key!r}; there are {', '.join(allowed)}")


def _text(where: str, item: Mapping[str, Any], key: str) -> str:
    value = item.get(key) or ""
    if not isinstance(value, str):
        raise SchemaError(f"{where}.{key}: expected a text, not {value!r}")
    return value


def _flag(where: str, item: Mapping[str, Any], key: str) -> bool:
    value = item.get(key, False)
    if not isinstance(value, bool):
        raise SchemaError(f"{where}.{key}: expected True or False, not {value!r}")
    return value
