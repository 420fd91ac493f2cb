"""The questions of the first run: which hub, as whom, with which key; the answers go to the file.

Asked by `main`, on a terminal alone, when no source names a hub. Each answer is checked before the
next question, the hub's URL by asking the hub.
"""

from collections.abc import Callable
from pathlib import Path

from kworkspace.cli import config_file as file_of
from kworkspace.cli.asking import ask
from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.sync import Client
from kworkspace.cli.settings import Flags, account, config_file, written
from kworkspace.cli.terminal import say, warn

SECONDS = 10.0


def ask_for_settings(flags: Flags) -> None:
    """Ask for what no source tells, and write it into the configuration file.

    Raises:
        UsageFault: a file of settings is wrong.
        click.Abort: the person has had enough; nothing is written.
    """
    file, known = config_file(flags), written(flags)
    say("Which hub? You are asked once; Ctrl-C leaves all as it is. The answers go to")
    say(str(file))
    ca_file = known["ca_file"].file() if "ca_file" in known else None
    changes = {"api": _until_good("The hub's URL", "", lambda text: _hub(text, ca_file))}
    if "user" not in known:
        name = account() or ""
        user = _until_good("Your user name there", name, lambda text: file_of.checked("user", text))
        changes["user"] = "" if user == name else user
    if "ssh_key_path" not in known:
        question = "The SSH key to sign in with (Enter: ssh-agent's, then those of ~/.ssh)"
        changes["ssh_key_path"] = _until_good(question, "", _key)
    file_of.write(file, {key: value for key, value in changes.items() if value})
    say(f"Written to {file}; kworkspace config shows it.")


def _until_good(question: str, default: str, check: Callable[[str], str]) -> str:
    while True:
        try:
            return check(ask(question, default))
        except KworkspaceError as error:
            warn(error.message)


def _hub(text: str, ca_file: Path | None) -> str:
    """Return the hub's URL, normalised; `https` may be left out."""
    if not text:
        raise UsageFault("it is such as https://hub.example.org; your admin knows it")
    url = file_of.checked("api", text if "://" in text else f"https://{text}")
    with Client(url, ca_file=ca_file, seconds=SECONDS) as client:
        hub = client.send(calls.root())
    say(f"There is a kworkspace hub, version {hub.version}.")
    return url


def _key(text: str) -> str:
    return file_of.checked("ssh_key_path", text) if text else ""
