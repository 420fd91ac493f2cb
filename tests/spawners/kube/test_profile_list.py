"""What may stand in `profile_list`, which is KubeSpawner's shape."""

from typing import Any

import pytest

from kworkspace.spawners.kube.profile_list import Choosable, Listed, Unlisted, parse
from tests.spawners.kube.configured import refused
from tests.spawners.kube.made import configured

CPU = {"display_name": "Small"}


def option(**parts: Any) -> list[dict[str, Any]]:
    """Return a list of one profile with one option."""
    return [{**CPU, "profile_options": {"image": parts}}]


def unlisted(**parts: Any) -> list[dict[str, Any]]:
    """Return a list of one profile with one option that can be typed."""
    return option(unlisted_choice={"enabled": True, **parts})


def test_a_whole_one() -> None:
    whole = {
        "display_name": "One GPU",
        "slug": "gpu",
        "description": "For training",
        "default": True,
        "kubespawner_override": {"gpu_limit": 1},
        "profile_options": {
            "image": {
                "display_name": "Image",
                "choices": {
                    "torch": {"display_name": "PyTorch", "overrides": {"image": "torch:2"}},
                    "jax": {"display_name": "JAX", "default": True, "overrides": {"image": "jax"}},
                },
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "Another",
                    "display_name_in_choices": "Another...",
                    "validation_regex": "reg/.+",
                    "validation_message": "one of our registry",
                    "kubespawner_override": {"image": "{value}"},
                },
            }
        },
    }
    typed = Unlisted({"image": "{value}"}, "reg/.+", "one of our registry")
    choices = {"torch": {"image": "torch:2"}, "jax": {"image": "jax"}}
    listed = Listed(
        slug="gpu",
        title="One GPU",
        description="For training",
        default=True,
        overrides={"gpu_limit": 1},
        options=(Choosable("image", choices, "jax", typed),),
    )
    assert parse([whole]) == (listed,)
    assert configured(profile_list=[whole]).profile_list == [whole], "it is kept as it is"


@pytest.mark.parametrize(
    ("value", "slugs", "default"),
    [
        ([], [], None),
        ({}, [], None),
        ([CPU, {"display_name": "One GPU (A100)"}], ["small", "one-gpu-a100"], "small"),
        ([CPU, {"display_name": "B", "default": True}], ["small", "b"], "b"),
        ([CPU, {"slug": "x"}], ["small", "x"], "small"),
        ({"big": CPU, "a": {}}, ["big", "a"], "big"),
        ({"big": {**CPU, "slug": "x"}}, ["x"], "x"),
    ],
)
def test_slugs_and_the_default(value: Any, slugs: list[str], default: str | None) -> None:
    listed = parse(value)
    assert [one.slug for one in listed] == slugs
    assert [one.slug for one in listed if one.default] == ([default] if default else [])


def test_the_first_choice_is_the_default() -> None:
    ((chosen,),) = [one.options for one in parse(option(choices={"b": {}, "a": {}}))]
    assert chosen.default == "b"
    ((typed,),) = [one.options for one in parse(unlisted())]
    assert (typed.default, typed.choices) == (None, {})


def test_what_is_not_enabled_cannot_be_typed() -> None:
    parts = {"choices": {"a": {}}, "unlisted_choice": {"enabled": False, "overrides": {}}}
    ((chosen,),) = [one.options for one in parse(option(**parts))]
    assert chosen.unlisted is None


IMAGE = "[0].profile_options['image']"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("gpu", ": expected a list or a dictionary, not 'gpu'"),
        (["gpu"], "[0]: expected a dictionary, not 'gpu'"),
        ([{}], "[0]: 'display_name' is missing"),
        ([{"display_name": 3}], "[0].display_name: expected a text, not 3"),
        ([{"display_name": "小"}], "[0]: 'slug' is missing, and display_name gives none"),
        ([{**CPU, "override": {}}], "[0]: there is no key 'override'; there are display_name, sl"),
        ({"a": {"defualt": True}}, "['a']: there is no key 'defualt'; there are"),
        ({1: CPU}, "['1']: expected a text as key, not 1"),
        ([{**CPU, "default": "yes"}], "[0].default: expected True or False, not 'yes'"),
        ([CPU, CPU], ": there are two profiles 'small'"),
        ([CPU, {"slug": "small"}], ": there are two profiles 'small'"),
        ([CPU, {"display_name": "small!"}], ": there are two profiles 'small'"),
        (
            [{**CPU, "default": True}, {"slug": "b", "default": True}],
            ": more than one profile is the default",
        ),
        (
            [{**CPU, "overrides": {}, "kubespawner_override": {}}],
            "[0]: overrides and kubespawner_override are the same; write one",
        ),
        ([{**CPU, "overrides": []}], "[0].overrides: expected a dictionary, not []"),
        ([{**CPU, "overrides": {1: 2}}], "[0].overrides: expected a dictionary, not {1: 2}"),
        (
            [{**CPU, "profile_options": [1]}],
            "[0].profile_options: expected a dictionary, not [1]",
        ),
        (
            [{**CPU, "profile_options": {"profile": {"choices": {"a": {}}}}}],
            "[0].profile_options['profile']: an option cannot be called 'profile'",
        ),
        (option(), f"{IMAGE}: there are no choices"),
        (option(choices=["a"]), f"{IMAGE}.choices: expected a dictionary, not ['a']"),
        (option(choices={1: {}}), f"{IMAGE}.choices: expected a text as key, not 1"),
        (option(choices={"a": "b"}), f"{IMAGE}.choices['a']: expected a dictionary, not 'b'"),
        (option(choices={"a": {"slug": 1}}), f"{IMAGE}.choices['a']: there is no key 'slug'"),
        (
            option(choices={"a": {"default": True}, "b": {"default": True}}),
            f"{IMAGE}: more than one choice is the default",
        ),
        (option(choice={}), f"{IMAGE}: there is no key 'choice'; there are display_name, choices"),
        (unlisted(enable=True), f"{IMAGE}.unlisted_choice: there is no key 'enable'"),
        (unlisted(enabled=1), f"{IMAGE}.unlisted_choice.enabled: expected True or False, not 1"),
        (
            unlisted(validation_regex="("),
            f"{IMAGE}.unlisted_choice.validation_regex: '(': missing ), unterminated subpattern",
        ),
    ],
)
def test_what_is_refused(value: Any, why: str) -> None:
    assert refused(profile_list=value).startswith(f"profile_list{why}")
