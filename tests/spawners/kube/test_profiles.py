"""What a workspace is started with: a profile over the configuration, and callables answered."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.cli.client.errors import BadRequest, StartFailed
from kworkspace.cli.client.profiles import asked_for
from kworkspace.spawners.base import Profile, ProfileOption, Workspace
from kworkspace.spawners.kube import profiles
from kworkspace.spawners.kube.spawner import KubeSpawner
from tests.spawners.kube.configured import at, refused, valid
from tests.spawners.kube.made import ALICE, configured, pod_of

PROFILES = [
    {"display_name": "Small", "slug": "cpu", "overrides": {"cpu_limit": 1}},
    {
        "display_name": "One GPU",
        "slug": "gpu",
        "description": "For training",
        "kubespawner_override": {
            "gpu_limit": 1,
            "node_selector": {"pool": "gpu", "old": None},
            "tolerations": [{"key": "gpu"}],
            "environment": {"A": "gpu", "B": None},
        },
        "profile_options": {
            "image": {
                "choices": {
                    "torch": {"overrides": {"image": "torch:2"}},
                    "jax": {"default": True, "overrides": {"image": "jax:1", "cpu_limit": 8}},
                },
                "unlisted_choice": {
                    "enabled": True,
                    "validation_regex": r"reg/[a-z]+:\d+$",
                    "validation_message": "it must be one of our registry",
                    "overrides": {"image": "{value}", "extra_annotations": {"image": "x-{value}"}},
                },
            }
        },
    },
]
CONFIGURED: dict[str, Any] = {
    "cpu_limit": 4,
    "node_selector": {"disk": "ssd", "old": "x"},
    "tolerations": [{"key": "all"}],
    "environment": {"A": "all", "B": "all", "C": "all"},
}


def hub(**options: Any) -> KubeSpawner:
    return configured(**{"profile_list": PROFILES, **CONFIGURED, **options})


def asking(**options: Any) -> Workspace:
    return replace(ALICE, options=options)


async def started(spawner: KubeSpawner, workspace: Workspace) -> Any:
    """Return what a workspace is started with."""
    return await profiles.resolve(profiles.apply_profile(spawner, workspace), workspace)


def test_what_is_offered() -> None:
    assert hub().profiles() == (
        Profile("cpu", "Small", default=True),
        Profile(
            "gpu",
            "One GPU",
            "For training",
            options=(
                ProfileOption("image", ("torch", "jax"), "jax", "it must be one of our registry"),
            ),
        ),
    )
    assert configured().profiles() == ()
    assert hub(profile_list=lambda *_: PROFILES).profiles() == (), "it depends on who asks"


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({}, {"cpu_limit": "1", "gpu_limit": None, "image": "ubuntu:24.04"}),
        ({"profile": "cpu"}, {"cpu_limit": "1", "environment": CONFIGURED["environment"]}),
        ({"profile": "", "image": "torch"}, {"image": "ubuntu:24.04"}),  # of another profile
        (
            {"profile": "gpu"},
            {
                "gpu_limit": 1,
                "image": "jax:1",
                "cpu_limit": "8",
                "node_selector": {"disk": "ssd", "pool": "gpu"},
                "tolerations": [{"key": "gpu"}],
                "environment": {"A": "gpu", "C": "all"},
            },
        ),
        ({"profile": "gpu", "image": "torch"}, {"image": "torch:2", "cpu_limit": "4"}),
        (
            {"profile": "gpu", "image": "torch", "image--unlisted-choice": "reg/own:3"},
            {"image": "reg/own:3", "extra_annotations": {"image": "x-reg/own:3"}},
        ),
        ({"unknown": 1}, {"cpu_limit": "1"}),  # as JupyterHub passes over what it does not know
    ],
)
async def test_what_is_asked_for(asked: dict[str, Any], values: dict[str, Any]) -> None:
    spawner = hub()
    spawner.check_options(asked)
    chosen = await started(spawner, asking(**asked))
    assert {name: getattr(chosen, name) for name in values} == values
    valid(pod_of(chosen))
    assert spawner.cpu_limit == "4", "what is configured stays"


async def test_as_the_command_asks_for_it() -> None:
    chosen = await started(hub(), asking(**asked_for("gpu", ["image=torch"])))
    assert at(pod_of(chosen), "main resources limits nvidia.com/gpu") == "1"
    assert chosen.image == "torch:2"
    chosen = await started(hub(), asking(**asked_for("gpu", ["image=reg/own:3"])))
    assert chosen.image == "reg/own:3", "typed, since it is no choice"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"profile": "gpus"}, "profile: there is no 'gpus'; there is cpu, gpu"),
        ({"profile": "One GPU"}, "profile: there is no 'One GPU'; there is cpu, gpu"),
        ({"profile": ["gpu"]}, "profile: expected a text, not ['gpu']"),
        (
            {"profile": "gpu", "image": "tf"},
            "image: 'tf' cannot be: it must be one of our registry; or choose torch, jax",
        ),
        ({"profile": "gpu", "image": 1}, "image: expected a text, not 1"),
        (
            {"profile": "gpu", "image--unlisted-choice": "evil/own:3"},
            "image: 'evil/own:3' cannot be: it must be one of our registry; or choose torch, jax",
        ),
        (
            {"profile": "gpu", "image--unlisted-choice": "reg/own:3\n"},
            "image: 'reg/own:3\\n' cannot be: it has braces or control characters",
        ),
        (
            {"profile": "gpu", "image--unlisted-choice": "{username}"},
            "image: '{username}' cannot be: it has braces or control characters",
        ),
    ],
)
def test_what_cannot_be_had(asked: dict[str, Any], why: str) -> None:
    spawner = hub()
    with pytest.raises(BadRequest) as caught:
        spawner.check_options(asked)
    assert caught.value.message == why
    with pytest.raises(BadRequest):
        profiles.apply_profile(spawner, asking(**asked))


def test_what_has_to_be_typed_and_what_cannot() -> None:
    typed = {"image": {"unlisted_choice": {"enabled": True, "overrides": {"image": "{value}"}}}}
    spawner = hub(profile_list=[{"slug": "a", "profile_options": typed}])
    with pytest.raises(BadRequest, match="image: it has to be given of the profile 'a': anything"):
        spawner.check_options({})
    spawner.check_options({"image--unlisted-choice": "own:1"})
    spawner.check_options({"image": "own:1"})
    fixed: dict[str, Any] = {"image": {"choices": {"b": {}}}}
    spawner = hub(profile_list=[{"slug": "a", "profile_options": fixed}])
    with pytest.raises(BadRequest, match="image: nothing can be typed for it of the profile 'a'"):
        spawner.check_options({"image--unlisted-choice": "own:1"})
    with pytest.raises(
        BadRequest, match="image: there is no 'own:1' of the profile 'a'; there is b"
    ):
        spawner.check_options({"image": "own:1"})


def test_a_hub_without_profiles() -> None:
    spawner = configured()
    spawner.check_options({"gpu": 1})
    with pytest.raises(BadRequest, match="there is no 'gpu': this hub has no profiles"):
        spawner.check_options({"profile": "gpu"})


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"cpu_limt": 1}, "'cpu_limt': there is no such option"),
        ({"namespace": "x"}, "'namespace': it is the same for all workspaces"),
        ({"service_type": "NodePort"}, "'service_type': it is the same for all workspaces"),
        ({"cpu_limit": "lots"}, "c.KubeSpawner.cpu_limit: 'lots' is not a quantity"),
        ({"image": ""}, "c.KubeSpawner.image: it is empty"),
        ({"volumes": [{"name": "home"}]}, "c.KubeSpawner.volumes: the volume 'home' is"),
        ({"cpu_guarantee": 8}, "cpu_guarantee: 8 of cpu is more than its limit 4"),
        ({"environment": {"A": "{x}"}}, "c.KubeSpawner.environment: '{x}' cannot be expanded"),
    ],
)
def test_overrides_are_checked_at_start(overrides: dict[str, Any], why: str) -> None:
    profile = {"slug": "a", "overrides": overrides}
    assert why in refused(profile_list=[profile], **CONFIGURED)
    choice = {"choices": {"b": {}, "c": {"overrides": overrides}}}
    message = refused(profile_list=[{"slug": "a", "profile_options": {"o": choice}}], **CONFIGURED)
    assert message.startswith("profile_list, profile 'a', o 'c': ")
    assert why in message


def test_what_can_be_typed_is_for_an_option_that_there_is() -> None:
    typed = {"o": {"unlisted_choice": {"enabled": True, "overrides": {"imag": "{value}"}}}}
    message = refused(profile_list=[{"slug": "a", "profile_options": typed}])
    assert message == "profile_list, profile 'a', o, typed: 'imag': there is no such option"


async def mine(_spawner: KubeSpawner, workspace: Workspace) -> list[Mapping[str, Any]]:
    await asyncio.sleep(0)
    return [{"slug": f"of-{workspace.user}", "overrides": {"image": "own:1"}}]


async def test_profiles_that_depend_on_who_asks() -> None:
    spawner = hub(profile_list=mine)
    spawner.check_options({"profile": "whatever"})
    assert (await started(spawner, asking(profile="of-alice"))).image == "own:1"
    with pytest.raises(BadRequest, match="there is no 'of-bob'; there is of-alice"):
        await started(spawner, asking(profile="of-bob"))


async def test_callables_are_asked_for_each_workspace() -> None:
    spawner = hub(
        profile_list=[{"slug": "a", "overrides": {"mem_limit": lambda *_: "3Gi"}}],
        cpu_limit=lambda _, workspace: len(workspace.user),
        environment={"A": lambda _, workspace: f"{{{workspace.user}}}", "B": lambda *_: None},
        node_selector={},
    )
    made = pod_of(await started(spawner, ALICE))
    assert at(made, "main resources limits") == {"cpu": "5", "memory": "3Gi"}
    assert at(made, "main env A value") == "{alice}", "what it returns is no template"
    assert at(made, "main env B") is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"profile_list": lambda *_: [{"slug": 1}]},
            "c.KubeSpawner.profile_list returned what cannot be: [0].slug: expected a text, not 1",
        ),
        (
            {"cpu_limit": lambda *_: "lots"},
            "what it returned cannot be: c.KubeSpawner.cpu_limit: 'lots' is not a quantity",
        ),
        ({"cpu_limit": lambda *_: max}, "c.KubeSpawner.cpu_limit returned a callable"),
        (
            {"mem_limit": lambda *_: 1 // 0},
            "c.KubeSpawner.mem_limit: integer division or modulo by",
        ),
        ({"environment": {"A": lambda: "x"}}, "c.KubeSpawner.environment['A']: "),
        (
            {"environment": lambda *_: {"A": 1, "B C": "x"}},
            "what it returned cannot be: c.KubeSpawner.environment: 'B C' is not a variable's name",
        ),
    ],
)
async def test_a_callable_that_fails(options: dict[str, Any], why: str) -> None:
    spawner = configured(**options)
    with pytest.raises(StartFailed) as caught:
        await started(spawner, ALICE)
    assert caught.value.message.startswith(why)


async def test_overrides_of_a_callables_profiles_are_checked_when_they_are_there() -> None:
    spawner = hub(profile_list=lambda *_: [{"slug": "a", "overrides": {"imag": "x"}}])
    with pytest.raises(TraitError, match="profile 'a': 'imag': there is no such option"):
        await started(spawner, ALICE)


async def test_hooks_are_left_to_be_called_later() -> None:
    def hook(_spawner: KubeSpawner, pod: Any) -> Any:
        return pod

    spawner = hub(profile_list=[{"slug": "a", "overrides": {"modify_pod_hook": hook}}])
    assert (await started(spawner, ALICE)).modify_pod_hook is hook


def test_a_value_that_is_set_is_known_to_be() -> None:
    spawner = hub()
    chosen = profiles.apply_profile(spawner, asking(profile="gpu"))
    assert (spawner.is_set("image"), chosen.is_set("image")) == (False, True)
    assert chosen.is_set("cpu_limit")
    assert not chosen.is_set("shell")


def test_what_was_typed_is_put_everywhere() -> None:
    tree = {"a": ["{value}", {"b": ("x{value}{value}", 3)}], "{value}": None}
    assert profiles.filled(tree, "v") == {"a": ["v", {"b": ["xvv", 3]}], "{value}": None}
