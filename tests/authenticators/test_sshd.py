"""Lines of authorized_keys as the real sshd reads them: where it lets nobody in, neither do we."""

import getpass
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncssh
import pytest

from kworkspace.authenticators.authorized_keys import parse_authorized_key
from kworkspace.cli.client.errors import BadRequest
from tests.gateway.openssh import SSHD, public_line, write_key

HERE = "127.0.0.1"
NOW = datetime.now(UTC)
LATER, EARLIER = NOW + timedelta(days=2), NOW - timedelta(days=2)
SAME = [
    "{key}",
    "{key}\r\n",
    "# a comment\n\n \t{key}\n",
    "{type}\t{blob}  comment\n",
    'from="127.0.0.*"\t{key}',
    'FROM="10.0.0.0/8,127.0.0.?" {key}',
    'from="!127.0.0.1,*" {key}',
    'from="*,!127.0.0.1" {key}',
    'from="!10.0.0.1" {key}',
    'from="127.0.0.1/8" {key}',
    'from="::ffff:127.0.0.1" {key}',
    'from="127.0.0.1",from="127.0.0.1" {key}',
    "from=127.0.0.1 {key}",
    'from="127.0.0.1\\" {key}',
    'from="127.0.0.1" , {key}',
    'expiry-time="{later:%Y%m%d}" {key}',
    'expiry-time="{later:%Y%m%d%H%M%S}Z",from="127.0.0.1" {key}',
    'expiry-time="{earlier:%Y%m%d%H%M}Z" {key}',
    'expiry-time="{later:%Y%m%d}",expiry-time="{earlier:%Y%m%d}" {key}',
    'expiry-time="{later:%Y%m%d}99" {key}',
    "no-such-option {key}",
]
STRICTER = ['from="127.0.0.1", {key}', 'from="a\\",127.0.0.1" {key}', "restrict {key}"]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHD]:
    """An sshd that reads what the test writes."""
    authority, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    sshd = SSHD(tmp_path_factory.mktemp("sshd") / "sshd", authority, key)
    sshd.start(*no_penalties())
    write_key(sshd.folder / "id", sshd.user_key)
    yield sshd
    sshd.kill()


def no_penalties() -> list[str]:
    """The option by which a newer sshd goes on listening to somebody whom it has refused."""
    option = "PerSourcePenalties no"
    asked = ["/usr/sbin/sshd", "-t", "-f", "/dev/null", "-o", option.replace(" ", "=")]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stderr
    return [] if "Bad configuration option" in said else [option]


def takes(sshd: SSHD, text: str) -> bool:
    """Whether sshd lets the key in with this file."""
    (sshd.folder / "authorized_keys").write_text(text, newline="")
    options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no"]
    options += ["UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    command = ["ssh", "-F", "none", "-i", str(sshd.folder / "id"), "-p", str(sshd.port)]
    command += [f"-o{option}" for option in options]
    command += [f"{getpass.getuser()}@{HERE}", "true"]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def holds(text: str) -> bool:
    """Whether a line of the file holds for us."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    try:
        return any(parse_authorized_key(line).holds(NOW, HERE) for line in lines)
    except BadRequest:
        return False


def written(sshd: SSHD, form: str) -> str:
    """The file's text for a form."""
    kind, blob = public_line(sshd.user_key).split()
    values = {"type": kind, "blob": blob, "key": f"{kind} {blob} alice@laptop"}
    return form.format(**values, later=LATER, earlier=EARLIER)


@pytest.mark.parametrize("form", SAME)
def test_same_as_sshd(sshd: SSHD, form: str) -> None:
    text = written(sshd, form)
    assert holds(text) is takes(sshd, text)


@pytest.mark.parametrize("form", STRICTER)
def test_stricter_than_sshd(sshd: SSHD, form: str) -> None:
    """What is sloppy, or would promise a bound, is refused here."""
    text = written(sshd, form)
    assert takes(sshd, text)
    assert not holds(text)
