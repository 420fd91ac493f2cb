"""What a workspace is started as: a profile, and choices within it.

A choice is given as NAME=VALUE; a start's body is then {"profile": SLUG, NAME: VALUE, ...}, REST's
`user_options`. For `start`, here and at the gateway.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.models import Profile

LIST = "?"
"""The profile by which `start` lists them instead."""
TYPED = "--unlisted-choice"
"""What follows an option's name in REST where the value is said not to be one of the choices."""


def asked_for(profile: str | None, options: Iterable[str]) -> dict[str, str]:
    """Return the body of a start; it is empty if nothing is asked for.

    Args:
        profile: its slug.
        options: NAME=VALUE each.

    Raises:
        UsageFault: one is not of that form, or no text.
    """
    options = tuple(options)
    if any("\ud800" <= char <= "\udfff" for char in "".join((profile or "", *options))):
        raise UsageFault("--profile and --option take text, and this is none in UTF-8")
    asked = {} if profile is None else {"profile": profile}
    for option in options:
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise UsageFault(f"--option takes NAME=VALUE, not '{option}'")
        if name == "profile":
            raise UsageFault(f"give the profile as --profile {value}")
        asked[name] = value
    return asked


def completed(asked: Mapping[str, str], last: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to start with: choices without a profile change those of the last start."""
    if "profile" in asked:
        return dict(asked)
    kept = {name: last[name] for name in last if name.removesuffix(TYPED) not in asked}
    return {**kept, **asked}


def check_names(asked: Iterable[str], slug: str | None, profiles: Sequence[Profile]) -> None:
    """Refuse options that a profile does not have; which values one takes is for the hub to say.

    Args:
        asked: their names.
        slug: the profile's; None is the default one.
        profiles: what the hub lists: nothing where it has none, or where that depends on who asks.

    Raises:
        BadRequest: it names those that there are.
    """
    for profile in profiles:
        if profile.slug == slug if slug else profile.default:
            names = [option.name for option in profile.options]
            for name in asked:
                if name.removesuffix(TYPED) not in [*names, "profile"]:
                    there_is = f"there is {', '.join(names)}" if names else "it has none"
                    raise BadRequest(
                        f"there is no option '{name}' of the profile '{profile.slug}'; {there_is}"
                    )


def runs_as(options: Mapping[str, Any], *, asked: bool = False) -> str:
    """Return how a sentence says what a workspace runs as, or is asked to."""
    choices = {name: value for name, value in options.items() if name != "profile"}
    profile = options.get("profile")
    words = [f"as {profile}"] if profile else [] if asked or choices else ["without a profile"]
    if choices:
        given = (f"{name.removesuffix(TYPED)}={value}" for name, value in choices.items())
        words.append(f"with {', '.join(given)}")
    return " ".join(words)


def is_as_asked(asked: Mapping[str, str], has: Mapping[str, Any]) -> bool:
    """Whether what a workspace was started with is what is asked for."""
    return all(value in (has.get(name), has.get(name + TYPED)) for name, value in asked.items())
