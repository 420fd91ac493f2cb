"""A wrong option is one line: which, where, and what is right."""

from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config

from kworkspace.hub.config import HubOptions
from kworkspace.hub.config_check import ConfigError, check_options, explain, place
from kworkspace.spawners.local import LocalSpawner


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "hub_config.py"
    file.write_text("c.Spawner.start_timeout = 5\n\nc.HubOptions.bse_url = '/'\nx.y = c.Odd.z\n")
    return file


def config(**sections: dict[str, object]) -> Config:
    return Config(sections)


def test_options_that_exist() -> None:
    check_options(
        config(Spawner={"start_timeout": 5}, LocalSpawner={"stop_timeout": 5}, HubOptions={}),
        [HubOptions, LocalSpawner],
        None,
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (config(HubOptions={"bse_url": 1}), "{}:3: c.HubOptions.bse_url: no such option; did you"),
        (config(Spwner={"x": 1}), "c.Spwner: there is no such class; did you mean c.Spawner?"),
        (config(Odd={"z": 1}), "{}:4: c.Odd: there is no such class; see kworkspace-hub --help"),
        (config(Spawner={"zzz": 1}), "c.Spawner.zzz: no such option; it has "),
    ],
)
def test_options_that_do_not(file: Path, wrong: Config, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(wrong, [HubOptions, LocalSpawner], file)
    assert caught.value.message.startswith(said.format(file))
    assert "\n" not in caught.value.message


def test_place(file: Path) -> None:
    assert place(file, "Spawner", "start_timeout") == f"{file}:1: "
    assert place(file, "Spawner", "stop_timeout") == ""
    assert place(None, "Spawner", "start_timeout") == ""
    file.write_text("c.Hub.x = 1\nc.Hub.x = 2\n")
    assert place(file, "Hub", "x") == f"{file}:2: "
    file.write_text("(")
    assert place(file, "Hub", "x") == f"{file}: "
    file.unlink()
    assert place(file, "Hub", "x") == f"{file}: "


def test_explain(file: Path) -> None:
    wrong = config(Spawner={"start_timeout": "x"})
    error = explain(TraitError("The 'start_timeout' trait\n  expected an int"), wrong, file)
    assert error.message == (
        f"{file}:1: c.Spawner.start_timeout: The 'start_timeout' trait expected an int"
    )
    assert explain(TraitError("odd"), wrong, file).message == f"{file}: odd"
    assert explain(TraitError("odd"), Config(), None).message == "odd"
