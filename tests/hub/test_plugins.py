"""A class trait takes a class, a dotted path or an entry point's name."""

from importlib.metadata import entry_points
from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from kworkspace.hub.config import HubOptions
from kworkspace.spawners.local import LocalSpawner
from tests.hub.fake_spawner import FakeSpawner


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("local", LocalSpawner),
        ("kworkspace.spawners.local.LocalSpawner", LocalSpawner),
        (LocalSpawner, LocalSpawner),
        (FakeSpawner, FakeSpawner),
    ],
)
def test_classes(given: Any, found: type) -> None:
    assert HubOptions(spawner_class=given).spawner_class is found


def test_defaults() -> None:
    assert HubOptions().spawner_class is LocalSpawner
    assert HubOptions().authenticator_class is SSHKeyAuthenticator
    assert "local" in entry_points(group="kworkspace.spawners").names


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nope", "has no 'nope'; there is kubernetes, local, or give a class or its dotted path"),
        ("nothing.such", "'nothing.such' cannot be imported: No module named 'nothing'"),
        ("kworkspace.spawners.local.Nope", "cannot be imported"),
        ("os.path", "expected a subclass of 'kworkspace.spawners.base.Spawner'"),
        (SSHKeyAuthenticator, "expected a subclass of"),
        (5, "expected a subclass of"),
    ],
)
def test_what_is_none(given: Any, said: str) -> None:
    with pytest.raises(TraitError, match=said) as caught:
        HubOptions(spawner_class=given)
    assert "'spawner_class' trait" in str(caught.value)
