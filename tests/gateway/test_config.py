"""Flags and environment."""

from pathlib import Path

import pytest

from kworkspace.gateway.config import parse
from kworkspace.gateway.limits import Limits

GIVEN = {
    "KWORKSPACE_API_URL": "http://127.0.0.1:8000/hub/api",
    "KWORKSPACE_API_TOKEN_FILE": "/run/token",
    "KWORKSPACE_GATEWAY_HOST_KEY": "/run/host_key",
}


def test_environment_of_the_hub_is_enough() -> None:
    """The hub hands its services `/hub/api`; the client wants the URL without it."""
    settings = parse([], GIVEN)
    assert settings.api_url == "http://127.0.0.1:8000"
    assert settings.token_file == Path("/run/token")
    assert (settings.listen_host, settings.listen_port) == ("127.0.0.1", 2222)
    assert (settings.public_host, settings.public_port) == ("127.0.0.1", 0)


def test_flags_win() -> None:
    """Over the environment."""
    flags = ["--listen", "[::1]:0", "--api-url", "https://hub/base/", "--public-host", "hub"]
    settings = parse([*flags, "--public-port", "22"], GIVEN)
    assert (settings.listen_host, settings.listen_port) == ("::1", 0)
    assert settings.api_url == "https://hub/base"
    assert (settings.public_host, settings.public_port) == ("hub", 22)


def test_limits() -> None:
    """Each by a flag or in the environment; the others stay as they are."""
    environment = {**GIVEN, "KWORKSPACE_GATEWAY_LOGIN_GRACE": "7"}
    assert parse(["--max-strangers", "9"], environment).limits == Limits(login_grace=7, strangers=9)
    assert parse(["--drain", "0"], GIVEN).limits == Limits(drain=0)
    assert parse(["--workers", "4"], environment).workers == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--listen", "2222"], "'2222' is not HOST:PORT"),
        (["--listen", "host:70000"], "'host:70000' is not HOST:PORT"),
        (["--api-url", "ftp://hub"], "'ftp://hub' is not the http or https URL of a hub"),
        (["--public-port", "-1"], "'-1' is not a port"),
        (["--login-grace", "0"], "'0' is not a number from 1 on"),
        (["--drain", "-1"], "'-1' is not a number from 0 on"),
        (["--max-strangers", "many"], "'many' is not a number from 1 on"),
        (["--log-level", "LOUD"], "invalid choice: 'LOUD'"),
        (["--log-format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_mistakes_are_named(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line that names the flag."""
    with pytest.raises(SystemExit) as ended:
        parse(flags, GIVEN)
    assert ended.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert said in last
    assert flags[0] in last


def test_missing_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be guessed."""
    with pytest.raises(SystemExit):
        parse([], {})
    assert "required: --host-key, --api-url, --token-file" in capsys.readouterr().err
