"""Kinds of options: what is kept of a value, and how one is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from traitlets import HasTraits, TraitError

from kworkspace.spawners.kube import traits
from kworkspace.spawners.kube.schema import SchemaError


def taken(kind: traits.Kube, value: Any) -> Any:
    """Return what an option of a kind keeps of a value."""
    return type("Owner", (HasTraits,), {"option": kind})(option=value).option


def ask(_spawner: Any, _workspace: Any) -> Any:
    """A callable of a configuration."""


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (traits.Text(), "a", "a"),
        (traits.Text(), None, None),
        (traits.Text("b", may_call=True), ask, ask),
        (traits.MaybeEmpty(), "", ""),
        (traits.Choices(["a"], choices=("a", "b")), ("b", "a"), ["b", "a"]),
        (traits.References(), "a", [{"name": "a"}]),
        (traits.References(), "", []),
        (traits.References(), ["a", {"name": "b"}], [{"name": "a"}, {"name": "b"}]),
        (traits.Template("x"), "{username}{{}}", "{username}{{}}"),
        (traits.Template("x", fields=("name",)), "{name}", "{name}"),
        (traits.MaybeTemplate(""), "", ""),
        (traits.Number(), 0, 0),
        (traits.Number(least=5, most=6), 6, 6),
        (traits.Quantity(), 0.5, "0.5"),
        (traits.Quantity(), "500m", "500m"),
        (traits.Quantities(), {"a.b/c": 1, "d": None}, {"a.b/c": "1"}),
        (traits.Object("V1Container", partial=True), {"env_from": []}, {"envFrom": []}),
        (
            traits.Objects("V1Toleration"),
            ({"toleration_seconds": 3},),
            [{"tolerationSeconds": 3}],
        ),
        (
            traits.Objects("V1Toleration"),
            {"b": {"key": "x"}, "a": None},
            {"b": {"key": "x"}},
        ),
        (traits.Numbers(), (0, 5), [0, 5]),
        (traits.Labels(), {"a": "b", "x.y/c": "", "d": None}, {"a": "b", "x.y/c": ""}),
        (traits.Labels(templated=True), {"a": "{username}"}, {"a": "{username}"}),
        (traits.Labels(own=True), {"kworkspace.io/user": "x"}, {"kworkspace.io/user": "x"}),
        (traits.Annotations(), {"a": "any text: {}", "b": None}, {"a": "any text: {}"}),
        (traits.Environment(), {"A": 1, "B": 0.5, "C": None}, {"A": "1", "B": "0.5"}),
        (traits.Environment(), {"A": ask}, {"A": ask}),
        (
            traits.Environment(),
            {"A": {"value_from": {"field_ref": {"field_path": "a"}}}},
            {"A": {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}},
        ),
        (traits.Hook(), ask, ask),
        (traits.Hook(), None, None),
    ],
)
def test_what_is_kept(kind: traits.Kube, value: Any, kept: Any) -> None:
    assert taken(kind, value) == kept


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (traits.Text(), "\t", ": it is empty"),
        (traits.Text(), 3, ": expected a text, not 3"),
        (traits.Text("a"), None, ": expected a text, not None"),
        pytest.param(traits.Text(), ask, f": it cannot be a callable: {ask!r}", id="callable"),
        (traits.MaybeEmpty(), " ", ": it is empty"),
        (traits.Choices(["a"], choices=("a", "b")), ["c"], ": there is no 'c'; there is a, b"),
        (traits.Choices(["a"], choices=("a", "b")), [], ": it is empty"),
        (traits.References(), [1], "[0]: expected a dictionary, not 1"),
        (traits.References(), 1, ": expected a list, not 1"),
        (traits.References(), [{"name": ""}], ": a name is empty"),
        (
            traits.Template("x", fields=("name",)),
            "{username}",
            ": '{username}' cannot be expanded: there is no field {username}; did you mean {name}?",
        ),
        (traits.Number(), True, ": expected a whole number, not True"),
        (traits.Number(), 1.0, ": expected a whole number, not 1.0"),
        (traits.Number(least=5, most=6), 7, ": expected 5 to 6, not 7"),
        (traits.Quantity(), -0.5, ": -0.5 is negative"),
        (traits.Quantity(), "1 Gi", ": '1 Gi' is not a quantity; write a number as 2, 500m, 1.5"),
        (traits.Quantities(), {"a": "x"}, "['a']: 'x' is not a quantity; write"),
        (traits.Quantities(), {"a": "-1"}, "['a']: '-1' is negative"),
        (traits.Quantities(), {1: 1}, ": expected a text as key, not 1"),
        (traits.Quantities(), {"/a": 1}, ": '/a' is not a name that Kubernetes allows: NAME or"),
        (traits.Quantities(), {"A.b/c": 1}, ": 'A.b/c' is not a name that Kubernetes allows"),
        (traits.Object("V1Container", partial=True), {"nme": 1}, ": nme: there is no such key;"),
        (traits.Object("V1Volume"), {}, ": 'name' is missing"),
        (traits.Object("V1Volume"), [], ": expected a dictionary, not []"),
        (traits.Objects("V1Volume"), [{"name": 1}], "[0].name: expected a text, not 1"),
        (traits.Objects("V1Volume"), {"a": {}}, "['a']: 'name' is missing"),
        (traits.Objects("V1Volume"), {1: {"name": "a"}}, ": expected a text as key, not 1"),
        (traits.Numbers(), ["5"], "[0]: expected a whole number, not '5'"),
        (traits.Numbers(), [-5], ": expected numbers from 0"),
        (traits.Labels(), {"a": "b" * 64}, f"['a']: '{'b' * 64}' is not a label's value: at most"),
        (traits.Labels(), {"a": "{username}"}, "['a']: '{username}' is not a label's value"),
        (traits.Labels(), {"a" * 64: "b"}, f": '{'a' * 64}' is not a name that Kubernetes allows"),
        (traits.Labels(), {"kworkspace.io/x": "y"}, ": 'kworkspace.io/x' is one of kworkspace's"),
        (traits.Labels(templated=True), {"a": "{who}"}, ": '{who}' cannot be expanded"),
        (traits.Annotations(), {"kworkspace.io/x": "y"}, ": 'kworkspace.io/x' is one of kworks"),
        (traits.Annotations(), {"a": 1}, "['a']: expected a text, not 1"),
        (traits.Environment(), {"A B": "x"}, ": 'A B' is not a variable's name"),
        (traits.Environment(templated=True), {"A": "{"}, ": '{' cannot be expanded: Single '{'"),
        (traits.Hook(), "module.hook", ": expected a callable, not 'module.hook'"),
    ],
)
def test_what_is_refused(kind: traits.Kube, value: Any, why: str) -> None:
    with pytest.raises(TraitError) as caught:
        taken(kind, value)
    assert str(caught.value).startswith(f"c.KubeSpawner.option{why}")


def test_one_more_check_sees_items_in_order() -> None:
    seen = []

    def also(items: list[Any]) -> None:
        seen.append([item["name"] for item in items])
        raise SchemaError("two of them are too many")

    kind = traits.Objects("V1Volume", also=also)
    with pytest.raises(TraitError, match=r"^c\.KubeSpawner\.option: two of them are too many$"):
        taken(kind, {"b": {"name": "2"}, "a": {"name": "1"}})
    assert seen == [["1", "2"]]


def test_a_value_can_be_checked_without_being_set() -> None:
    owner = type("Owner", (HasTraits,), {"option": traits.Quantity("1")})()
    assert traits.checked(owner, "option", 2) == "2"
    with pytest.raises(TraitError, match=r"^c\.KubeSpawner\.option: 'x' is not"):
        traits.checked(owner, "option", "x")
    assert owner.option == "1"


@pytest.mark.parametrize("make", [list, tuple])
def test_items_in_order(make: Callable[[Any], Any]) -> None:
    assert traits.listed(make((2, 1))) == [2, 1]
    assert traits.listed({"b": 2, "a": 1}) == [1, 2]
