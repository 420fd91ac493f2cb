"""The checks that need no hub: OpenSSH's programs, keys, agent, and the command's own files."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kworkspace.cli.checks.outcome import failed, ok, warning
from kworkspace.cli.client.reports import CheckReport
from kworkspace.cli.keys import default_files, fingerprint, named_key
from kworkspace.cli.programs import program

LEAST_VERSION = (8, 2)
LEAST_RSA_BITS = 2048
PROGRAM_SECONDS = 10.0
_VERSION = re.compile(r"OpenSSH_(?:for_\w+_)?(\d+)\.(\d+)")


def programs() -> Iterator[CheckReport]:
    """Whether OpenSSH's programs are there, and new enough to sign and to know our options."""
    for name in ("ssh-keygen", "ssh-add"):
        program(name)
    version = _output(program("ssh"), "-V")[1].strip()
    match = _VERSION.search(version)
    if match is None:
        yield warning("ssh", f"it is '{version}'", "install OpenSSH, if something does not work")
    elif (int(match[1]), int(match[2])) < LEAST_VERSION:
        yield failed("ssh", f"OpenSSH {match[1]}.{match[2]} is too old", "install 8.2 or newer")
    else:
        yield ok("ssh", f"OpenSSH {match[1]}.{match[2]}")


def agent() -> Iterator[CheckReport]:
    """Whether the agent answers, and how many keys it has."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        yield ok("agent", "none is in use (SSH_AUTH_SOCK is not set)")
        return
    code, _, out = _run(program("ssh-add"), "-l")
    if code > 1:
        fix = 'start one: eval "$(ssh-agent)", or unset SSH_AUTH_SOCK'
        yield warning("agent", "the one that SSH_AUTH_SOCK names does not answer", fix)
    else:
        count = len(out.splitlines()) if code == 0 else 0
        yield ok("agent", f"it has {count} {'key' if count == 1 else 'keys'}")


def keys(chosen: Path | None) -> Iterator[CheckReport]:
    """Whether the keys that would be tried can be used, and without a question.

    Args:
        chosen: the one of the settings; None tries the agent's and the default ones.
    """
    known = _agent_fingerprints()
    paths = default_files() if chosen is None else [named_key(chosen).path]
    for path in paths:
        yield from _key(path, known)
    if not paths and known:
        yield ok("key", "those of ssh-agent")
    elif not paths:
        fix = "make one: ssh-keygen -t ed25519; and give its .pub file to the hub's admin"
        yield failed("key", "there is none in ~/.ssh and none in ssh-agent", fix)


def state_folder(folder: Path) -> Iterator[CheckReport]:
    """Whether the command can write its own files, and nobody else can read them."""
    if not folder.exists():
        yield ok("own files", f"none yet in {folder}")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield failed("own files", f"{folder} cannot be written", f"chmod u+rwx {folder}")
        return
    kinds = [folder / kind for kind in ("tokens", "known_hosts", "keys")]
    ours = [path for kind in kinds for path in (kind, *kind.glob("*")) if path.exists()]
    if any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in ours):
        text = f"others can get at what is in {folder}"
        yield warning("own files", text, f"chmod -R go-rwx {folder}; then kworkspace login")
    else:
        yield ok("own files", f"private, in {folder}")


def _key(path: Path, known: set[str]) -> Iterator[CheckReport]:
    name = f"key {path.name}"
    if path.suffix == ".pub":
        if fingerprint(path) in known:
            yield ok(name, "its private half is in ssh-agent")
        else:
            yield failed(name, "its private half is not in ssh-agent", "ssh-add it")
        return
    status = path.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        yield failed(name, "others can read it, so ssh does not use it", f"chmod 600 {path}")
        return
    kind = _output(program("ssh-keygen"), "-l", "-f", str(path))[0].split()
    if not kind:
        fix = "name a private key, or its .pub file, with --ssh-key-path"
        yield failed(name, "ssh-keygen does not take it for a key", fix)
    elif kind[-1] == "(DSA)" or (kind[-1] == "(RSA)" and int(kind[0]) < LEAST_RSA_BITS):
        text = f"{kind[-1].strip('()')} of {kind[0]} bits is too weak to be accepted"
        yield failed(name, text, "make another: ssh-keygen -t ed25519")
    elif kind[1] in known:
        yield ok(name, f"{kind[-1].strip('()')}, in ssh-agent")
    elif _run(program("ssh-keygen"), "-y", "-P", "", "-f", str(path))[0] != 0:
        text = "it has a passphrase, which you are asked for at each sign-in"
        yield warning(name, text, f"ssh-add {path}")
    else:
        yield ok(name, kind[-1].strip("()"))


def _agent_fingerprints() -> set[str]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return set()
    code, _, out = _run(program("ssh-add"), "-l", "-E", "sha256")
    return {line.split()[1] for line in out.splitlines() if code == 0 and len(line.split()) > 1}


def _output(*command: str) -> tuple[str, str]:
    _, err, out = _run(*command)
    return out, err


def _run(*command: str) -> tuple[int, str, str]:
    """Run a program that must not ask anything; its exit code, stderr and stdout."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PROGRAM_SECONDS,
        check=False,
        env=os.environ | {"SSH_ASKPASS_REQUIRE": "never"},
    )
    return done.returncode, done.stderr, done.stdout
