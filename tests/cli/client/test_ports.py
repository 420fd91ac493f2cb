"""The way to each port: exact, and harmless to paste."""

import shlex

import pytest

from kworkspace.cli.client.models import Port
from kworkspace.cli.client.names import parse_login
from kworkspace.cli.client.ports import port_reports, ports_picture, ssh_words

SSH = "ssh -p 2222 alice@hub.example.org"


@pytest.mark.parametrize(
    ("port", "address", "forward"),
    [
        (8888, "127.0.0.1", "-L 8888:localhost:8888"),
        (8888, "0.0.0.0", "-L 8888:localhost:8888"),
        (8888, "::", "-L 8888:localhost:8888"),
        (8888, "::1", "-L 8888:[::1]:8888"),
        (8888, "10.0.0.3", "-L 8888:10.0.0.3:8888"),
        (80, "127.0.0.2", "-L 8080:127.0.0.2:80"),
    ],
)
def test_the_forward(port: int, address: str, forward: str) -> None:
    [report] = port_reports([Port(port=port, address=address)], SSH)
    assert report.forward == f"ssh {forward} -p 2222 alice@hub.example.org"


def test_both_families_are_one() -> None:
    ports = [Port(port=80, address="::", process="web"), Port(port=80, address="0.0.0.0")]
    [report] = port_reports(ports, SSH)
    assert report.address == "0.0.0.0"
    assert report.process == "web"


def test_the_command() -> None:
    assert ssh_words(parse_login("alice"), "hub.example.org", 22) == "ssh alice@hub.example.org"
    words = ssh_words(parse_login("ada=алиса+gpu"), "hub", 2222)
    assert shlex.split(words) == ["ssh", "-p", "2222", "ada=алиса+gpu@hub"]


def test_the_picture() -> None:
    assert ports_picture("", []) == ["Nothing listens in your workspace."]
    ports = port_reports([Port(port=8888, address="127.0.0.1", process="\x1b[2Jjupyter")], SSH)
    lines = ports_picture("gpu", ports)
    assert lines[0].split() == ["PORT", "PROCESS", "LISTENS", "ON", "REACH", "IT", "BY"]
    assert lines[1].endswith(ports[0].forward)
    assert "\x1b" not in lines[1]
