"""`open`: a browser where there is a desktop, the URL everywhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Result

    Run = Callable[..., Result]

URL = "https://hub.example.org"


@pytest.fixture
def browser(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop, whose browser writes down what it opens; returns where."""
    program, seen = home / "browser", home / "seen"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    program.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    monkeypatch.setenv("DISPLAY", ":9")
    monkeypatch.setenv("KWORKSPACE_API", URL)
    # Python looks for browsers once in a process.
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})
    return seen


def test_the_browser(browser: Path, kworkspace: "Run") -> None:
    result = kworkspace("open")
    assert (result.code, result.out) == (0, f"{URL}/\n")
    assert result.err == "Opened in your browser:\n"
    assert browser.read_text() == f"{URL}/"
    assert json.loads(kworkspace("open", "-o", "json").out) == {"url": f"{URL}/", "opened": True}


@pytest.mark.parametrize("over_ssh", [True, False])
def test_no_desktop(
    over_ssh: bool, browser: Path, kworkspace: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    if over_ssh:
        monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    else:
        monkeypatch.delenv("DISPLAY")
    result = kworkspace("open")
    assert (result.code, result.out, result.err) == (0, f"{URL}/\n", "")
    assert not browser.exists()


def test_a_browser_that_fails(
    browser: Path, kworkspace: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    assert kworkspace("open").out == f"{URL}/\n"
