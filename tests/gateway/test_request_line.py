"""What is asked of the gateway itself, and how."""

import pytest

from kworkspace.cli.client.exits import UsageFault
from kworkspace.gateway.request_line import Request, is_for_gateway, parse


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (b"kworkspace", True),
        (b"kworkspace status gpu", True),
        (b"kworkspace\tstatus", True),
        (b"kworkspaces", False),
        (b"./kworkspace status", False),
        (b"/usr/bin/kworkspace", False),
        (b"kworkspace; id", False),
        (b"echo kworkspace", False),
        (b"\xff", False),
        (b"", False),
    ],
)
def test_only_the_first_word_counts(line: bytes, ours: bool) -> None:
    assert is_for_gateway(line) is ours


def test_options_may_stand_anywhere() -> None:
    expected = Request(["start", "gpu"], json=True, profile="big one", options=["a=b c", "d=e"])
    for line in (
        b"kworkspace -o json start gpu --profile 'big one' --option 'a=b c' --option d=e",
        b"kworkspace start --profile='big one' --option='a=b c' gpu --output=json --option d=e",
    ):
        assert parse(line) == expected
    assert parse(b"kworkspace -h").help
    assert parse(b"kworkspace keys -ojson remove -y -- -x") == Request(
        ["keys", "remove", "-x"], json=True, yes=True
    )
    assert parse(b"kworkspace \xff").words == ["\ufffd"]
    for line in (b"kworkspace 'x", b"kworkspace --what", b"kworkspace -o", b"kworkspace -o xml"):
        with pytest.raises(UsageFault):
            parse(line)
