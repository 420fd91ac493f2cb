"""What a workspace is started with: the configuration, a profile over it, and callables answered.

`apply_profile` gives a view of the options with what was chosen; `resolve` calls what is callable
in it. Both check every value as if an admin had set it. Neither changes the configuration.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from traitlets import HasTraits, TraitError

from kworkspace.cli.client.errors import BadRequest, StartFailed
from kworkspace.spawners.base import Profile, ProfileOption, Workspace
from kworkspace.spawners.kube import hooks, traits
from kworkspace.spawners.kube.placement_options import PlacementOptions
from kworkspace.spawners.kube.pod_options import PodOptions
from kworkspace.spawners.kube.profile_list import VALUE, Choosable, Listed, Overrides, parse
from kworkspace.spawners.kube.schema import SchemaError
from kworkspace.spawners.kube.storage_options import StorageOptions

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

CALL_SECONDS = 60.0
_UNLISTED = "--unlisted-choice"
_MOST_TYPED = 512
_OF_WORKSPACES: tuple[type[HasTraits], ...] = (PodOptions, PlacementOptions, StorageOptions)
_ALSO = ("start_timeout", "wait_for_capacity")
# By these a workspace is found when it runs and nobody knows its profile, or they are the hub's.
_NEVER = frozenset({"account_template", "delete_pvc", "service_type", "service_port"})
OVERRIDABLE = (
    frozenset(name for kind in _OF_WORKSPACES for name in kind.class_trait_names(config=True))
    .union(_ALSO)
    .difference(_NEVER)
)


class View:
    """Options with some values in place of the configured ones; else it is like them."""

    configured: Any
    values: dict[str, Any]

    def __init__(self, options: Any, values: Mapping[str, Any]) -> None:
        self.configured = options.configured if isinstance(options, View) else options
        self.values = {**options.values, **values} if isinstance(options, View) else dict(values)
        vars(self).update(self.values)

    def __getattr__(self, name: str) -> Any:
        # What is read once stays: a start reads them all, some of them many times.
        value = vars(self)[name] = getattr(self.configured, name)
        return value

    def is_set(self, name: str) -> bool:
        """Whether an option says something else than its default."""
        return name in self.values or bool(self.configured.is_set(name))


def offered(options: "KubeSpawnerOptions") -> Sequence[Profile]:
    """Return what people may ask for by name; nothing where that depends on who asks."""
    return tuple(
        Profile(
            slug=one.slug,
            title=one.title,
            description=one.description,
            default=one.default,
            options=tuple(map(_shown, one.options)),
        )
        for one in _listed(options)
    )


def _shown(option: Choosable) -> ProfileOption:
    unlisted = "" if option.unlisted is None else option.unlisted.wanted
    return ProfileOption(option.name, tuple(option.choices), option.default or "", unlisted)


def check_profile(options: "KubeSpawnerOptions", asked: Mapping[str, Any]) -> None:
    """Refuse `user_options` that no profile can be chosen by.

    Args:
        options: the configuration.
        asked: {"profile": SLUG, OPTION: CHOICE, "OPTION--unlisted-choice": TEXT}; a text that is
            no choice counts as typed where something may be.

    Raises:
        BadRequest: it names what was asked for, and says what there is.
    """
    if callable(options.profile_list):
        _text(asked, "profile")  # who may have it is known when it starts
        return
    for _ in _chosen(_listed(options), asked):
        pass


def apply_profile(options: "KubeSpawnerOptions", workspace: Workspace) -> "KubeSpawnerOptions":
    """Return the options with the profile that a workspace asks for; callables are left in it.

    Where `profile_list` is a callable, `resolve` does it.

    Raises:
        BadRequest: it asks for what there is not.
        TraitError: an option is set wrongly.
    """
    if callable(options.profile_list):
        return _view(options, {})
    return with_overrides(options, _chosen(_listed(options), workspace.options))


async def resolve(options: "KubeSpawnerOptions", workspace: Workspace) -> "KubeSpawnerOptions":
    """Return the options with values in place of callables, asked for this workspace.

    Args:
        options: as `apply_profile` returns them.
        workspace: which.

    Raises:
        StartFailed: a callable raised, did not return in time, or returned what cannot be.
        BadRequest: a profile is asked for that this user does not have.
    """
    view = cast(View, _view(options, {}))
    if callable(view.profile_list):
        value = await _call("profile_list", view.profile_list, view, workspace)
        try:
            profiles = parse(value)
        except SchemaError as error:
            raise StartFailed(
                f"c.KubeSpawner.profile_list returned what cannot be: {error}"
            ) from None
        view = cast(View, with_overrides(cast(Any, view), _chosen(profiles, workspace.options)))
    values: dict[str, Any] = {}
    for name in sorted(OVERRIDABLE):
        value = getattr(view, name)
        if name == "environment":
            values[name] = await _environment(value, view, workspace)
        elif callable(value) and not isinstance(getattr(type(view.configured), name), traits.Hook):
            values[name] = await _answer(name, value, view, workspace)
    return _view(view, values)


def with_overrides(
    options: "KubeSpawnerOptions", overrides: Iterator[tuple[str, Overrides]]
) -> "KubeSpawnerOptions":
    """Return the options with overrides, later ones over earlier ones.

    Args:
        options: the configuration.
        overrides: of which profile, as messages name it, and the options that it sets.

    Raises:
        TraitError: it begins with the profile.
    """
    view = cast(View, _view(options, {}))
    for where, values in overrides:
        for name, value in values.items():
            view = View(view, {name: _override(view, where, name, value)})
    return cast("KubeSpawnerOptions", view)


def _override(view: View, where: str, name: str, value: Any) -> Any:
    place = f"c.KubeSpawner.profile_list, {where}"
    if name not in OVERRIDABLE:
        known = hasattr(type(view.configured), name)
        why = "it is the same for all workspaces" if known else "there is no such option"
        raise TraitError(f"{place}: '{name}': {why}")
    if callable(value):
        return value
    has = getattr(view, name)
    if isinstance(value, Mapping) and isinstance(has, Mapping) and name != "pod_template":
        value = _updated(has, value)
    try:
        return traits.checked(view.configured, name, value)
    except TraitError as error:
        raise TraitError(f"{place}: {error}") from None


def _updated(has: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(has)
    for key, item in value.items():
        under = out.get(key)
        if item is None:
            out.pop(key, None)
        elif isinstance(item, Mapping) and isinstance(under, Mapping):
            out[key] = _updated(under, item)
        else:
            out[key] = item
    return out


def _chosen(
    profiles: tuple[Listed, ...], asked: Mapping[str, Any]
) -> Iterator[tuple[str, Overrides]]:
    """Yield what was chosen: where it stands, and its overrides."""
    slug = _text(asked, "profile")
    if not profiles:
        if slug:
            raise BadRequest(f"profile: there is no '{slug}': this hub has no profiles")
        return
    found = [one for one in profiles if (one.slug == slug if slug else one.default)]
    if not found:
        there_is = ", ".join(one.slug for one in profiles)
        raise BadRequest(f"profile: there is no '{slug}'; there is {there_is}")
    profile = found[0]
    yield f"profile '{profile.slug}'", profile.overrides
    for option in profile.options:
        where = f"profile '{profile.slug}', {option.name}"
        yield where, _choice(profile, option, asked)


def _choice(profile: Listed, option: Choosable, asked: Mapping[str, Any]) -> Overrides:
    typed, choice = _text(asked, option.name + _UNLISTED), _text(asked, option.name)
    of = f"of the profile '{profile.slug}'"
    there_is = ", ".join(option.choices)
    if not typed:
        choice = choice or option.default or ""
        if choice in option.choices:
            return option.choices[choice]
        if option.unlisted is None:
            raise BadRequest(f"{option.name}: there is no '{choice}' {of}; there is {there_is}")
        if not choice:
            raise BadRequest(f"{option.name}: it has to be given {of}: {option.unlisted.wanted}")
        typed = choice
    if option.unlisted is None:
        raise BadRequest(f"{option.name}: nothing can be typed for it {of}")
    if not typed.isprintable() or len(typed) > _MOST_TYPED or {"{", "}"} & set(typed):
        raise BadRequest(f"{option.name}: {typed!r} cannot be: it has braces or control characters")
    if not re.match(option.unlisted.pattern, typed):
        listed = f"; or choose {there_is}" if there_is else ""
        raise BadRequest(f"{option.name}: {typed!r} cannot be: {option.unlisted.wanted}{listed}")
    return cast(Overrides, filled(option.unlisted.overrides, typed))


def filled(tree: Any, typed: str) -> Any:
    """Return overrides with what was typed in place of {value}."""
    if isinstance(tree, str):
        return tree.replace(VALUE, typed)
    if isinstance(tree, Mapping):
        return {key: filled(item, typed) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return [filled(item, typed) for item in tree]
    return tree


async def _answer(name: str, value: Callable[..., Any], view: View, workspace: Workspace) -> Any:
    answer = await _call(name, value, view, workspace)
    if callable(answer):
        raise StartFailed(f"c.KubeSpawner.{name} returned a callable")
    has = getattr(view.configured, name)
    if isinstance(answer, Mapping) and isinstance(has, Mapping):
        answer = _updated(has, answer)
    try:
        return traits.checked(view.configured, name, answer)
    except TraitError as error:
        raise StartFailed(f"what it returned cannot be: {error}") from None


async def _environment(value: Any, view: View, workspace: Workspace) -> dict[str, Any]:
    if callable(value):
        value = await _answer("environment", value, view, workspace)
    out = {}
    for key, item in value.items():
        if not callable(item):
            out[key] = item
            continue
        answer = await _call(f"environment['{key}']", item, view, workspace)
        if answer is not None:
            # What a callable returns is no template.
            out[key] = str(answer).replace("{", "{{").replace("}", "}}")
    return out


async def _call(name: str, value: Callable[..., Any], view: View, workspace: Workspace) -> Any:
    return await hooks.call(name, value, view.configured, workspace, seconds=CALL_SECONDS)


def _listed(options: "KubeSpawnerOptions") -> tuple[Listed, ...]:
    return () if callable(options.profile_list) else parse(options.profile_list)


def _text(asked: Mapping[str, Any], key: str) -> str:
    value = asked.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{key}: expected a text, not {value!r}")
    return value


def _view(options: Any, values: Mapping[str, Any]) -> "KubeSpawnerOptions":
    return cast("KubeSpawnerOptions", View(options, values))
