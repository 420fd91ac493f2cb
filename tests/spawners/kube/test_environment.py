"""Variables in an order in which $(NAME) resolves: Kubernetes looks at those before alone."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.kube.environment import variables
from tests.spawners.kube.configured import at, pod, refused

VALUES = {"username": "alice"}
NAMES = st.sampled_from("ABCDE")


def env(environment: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(one["name"], one.get("value")) for one in variables(environment, VALUES)]


@pytest.mark.parametrize(
    ("environment", "made"),
    [
        ({}, []),
        ({"B": "2", "A": "1"}, [("A", "1"), ("B", "2")]),
        ({"A": "$(B)/x", "B": "1"}, [("B", "1"), ("A", "$(B)/x")]),
        ({"A": "$(B)", "B": "$(C)", "C": "1"}, [("C", "1"), ("B", "$(C)"), ("A", "$(B)")]),
        ({"A": "$(A):/opt"}, [("A", "$(A):/opt")]),
        ({"A": "$(OTHER)"}, [("A", "$(OTHER)")]),
        ({"A": "$(B)", "B": "$(A)"}, [("A", "$(B)"), ("B", "$(A)")]),
        ({"A": "/data/{username}"}, [("A", "/data/alice")]),
        ({"A": "{{}}"}, [("A", "{}")]),
    ],
)
def test_the_order(environment: dict[str, Any], made: list[tuple[str, Any]]) -> None:
    assert env(environment) == made


def test_a_source_goes_as_it_is() -> None:
    source = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "{username}", "key": "k"}}}
    made = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "alice", "key": "k"}}}
    assert variables({"T": source, "A": "$(T)"}, VALUES) == [made, {"name": "A", "value": "$(T)"}]


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=2)))
def test_each_stands_after_those_that_it_needs(needs: dict[str, list[str]]) -> None:
    # Only backwards in the alphabet, so that there is no circle.
    environment = {
        name: "".join(f"$({other})" for other in others if other > name)
        for name, others in needs.items()
    }
    order = [name for name, _ in env(environment)]
    assert sorted(order) == sorted(environment)
    for name, text in environment.items():
        for other in set(re.findall(r"\w", text)) & environment.keys():
            assert order.index(other) < order.index(name)


def test_in_a_pod() -> None:
    made = pod(environment={"HF_HOME": "$(ROOT)/hf", "ROOT": "/data/{username}", "N": 4})
    names = [one["name"] for one in at(made, "main env")]
    assert names.index("ROOT") < names.index("HF_HOME")
    assert at(made, "main env ROOT value") == "/data/alice"
    assert at(made, "main env N value") == "4"


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"A=B": "1"}, ": 'A=B' is not a variable's name"),
        ({"": "1"}, ": '' is not a variable's name"),
        ({"KWORKSPACE_BOOT_UID": "0"}, ": 'KWORKSPACE_BOOT_UID': KWORKSPACE_BOOT_* is for"),
        ({"A": ["x"]}, "['A']: expected a text, not ['x']"),
        ({"A": True}, "['A']: expected a text, not True"),
        ({"A": {"valueFrm": {}}}, "['A'].valueFrm: there is no such key; did you mean 'valueFrom'"),
        ({"A": "{user}"}, ": '{user}' cannot be expanded: there is no field {user}"),
        (["A=1"], ": expected a dictionary, not ['A=1']"),
    ],
)
def test_what_is_refused(environment: Any, why: str) -> None:
    assert refused(environment=environment).startswith(f"environment{why}")
