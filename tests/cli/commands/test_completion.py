"""Completion in the real shells: commands, options and the names that the hub tells."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli import completion
from kworkspace.cli.completion import workspace_names
from kworkspace.cli.settings import Flags

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]

BASH = """
eval "$(kworkspace completion bash)"
COMP_WORDS=($LINE "$LAST"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
_kworkspace_completion kworkspace 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh completes in its line editor alone: what it would be given is taken out of its hands.
ZSH = """
compdef() { :; }
_describe() { print -l -- "${(@)completions_with_descriptions%%:*}"; }
compadd() { print -l -- $completions; }
eval "$(kworkspace completion zsh)"
words=(${=LINE} "$LAST"); CURRENT=${#words}
_kworkspace_completion
"""
FISH = """
kworkspace completion fish | source
complete --do-complete "$LINE $LAST"
"""


@pytest.fixture
def complete(
    hub: "Hub", alice: Path, program: str, kworkspace: "Run"
) -> Callable[[str, str, str], list[str]]:
    """Complete a line in a shell; alice is signed in and has two workspaces."""
    hub.workspace("gpu")
    hub.workspace("big")
    image = {"name": "image", "choices": ["jax", "torch"]}
    hub.profiles = [
        {"slug": "cpu", "display_name": "Small", "default": True},
        {"slug": "gpu", "display_name": "One GPU", "options": [image]},
    ]
    kworkspace("login")

    def complete(shell: str, line: str, last: str) -> list[str]:
        command = {
            "bash": ["bash", "--norc", "-c", BASH],
            "zsh": ["zsh", "-f", "-c", ZSH],
            "fish": ["fish", "-N", "-c", FISH],
        }[shell]
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        path = f"{Path(program).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command,
            env={**os.environ, "PATH": path, "LINE": line, "LAST": last},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return sorted(shown.split("\t")[0] for shown in done.stdout.splitlines() if shown)

    return complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_in_a_real_shell(shell: str, complete: Callable[[str, str, str], list[str]]) -> None:
    assert complete(shell, "kworkspace", "st") == ["start", "status", "stop"]
    assert complete(shell, "kworkspace start", "") == ["big", "gpu"]
    assert complete(shell, "kworkspace delete --yes", "g") == ["gpu"]
    assert complete(shell, "kworkspace start --profile", "") == ["cpu", "gpu"]
    assert complete(shell, "kworkspace start --option", "") == []
    start = "kworkspace start --profile gpu --option"
    assert complete(shell, start, "ima") == ["image=jax", "image=torch"]
    assert complete(shell, "kworkspace keys", "re") == ["remove"]
    assert complete(shell, "kworkspace connect", "--for") == ["--forward"]
    assert complete(shell, "kworkspace completion", "z") == ["zsh"]


def test_commands_are_completed_without_loading_them(program: str) -> None:
    environ = {"_KWORKSPACE_COMPLETE": "bash_complete", "COMP_WORDS": "kworkspace s"}
    done = subprocess.run(
        [program],
        env={**os.environ, **environ, "COMP_CWORD": "1", "PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,start", "plain,stop", "plain,status", "plain,ssh-config"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"msgspec", "urllib3", "rich", "ssl"}.isdisjoint(loaded)


def test_silence_without_a_token(hub: "Hub", alice: Path) -> None:
    hub.workspace("gpu")
    assert workspace_names(Flags(), "") == []
    assert workspace_names(Flags(api="no url"), "") == []
    assert hub.requests == []


def test_silence_of_a_token_that_is_not_used(
    hub: "Hub", home: Path, alice: Path, kworkspace: "Run", capfd: pytest.CaptureFixture[str]
) -> None:
    kworkspace("login")
    (token,) = (home / ".local/state/kworkspace/tokens").iterdir()
    token.chmod(0o644)
    assert workspace_names(Flags(), "") == []
    assert capfd.readouterr() == ("", "")


def test_silence_of_a_hub_that_is_away(
    hub: "Hub", alice: Path, kworkspace: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    kworkspace("login")
    hub.answers["GET /hub/api/users/alice"] = (500, {}, b"")
    assert workspace_names(Flags(), "") == []
    monkeypatch.setattr(completion, "_ask", lambda flags, ask, found: hub.following.wait(20))
    monkeypatch.setattr(completion, "SECONDS", 0.05)
    assert workspace_names(Flags(), "") == []
    hub.following.set()
