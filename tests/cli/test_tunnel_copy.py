"""What the copying of a tunnel does before anything comes; the rest goes by real ssh."""

import socket

import pytest

from kworkspace.cli import tunnel_copy
from kworkspace.cli.client.frames import Opcode, frame
from kworkspace.cli.client.tunnel import READY, text_of
from kworkspace.cli.tunnel_copy import Copying


class Told(Exception):
    """Something was heard."""


def test_what_came_with_the_answer_is_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sends more until then: neither the gateway nor ssh, which waits for its socket."""

    def wait(_copying: Copying) -> dict[int, int]:
        raise AssertionError("it waits first")

    def hear(word: str, text: str) -> None:
        raise Told(word, text)

    monkeypatch.setattr(tunnel_copy.Copying, "_wait", wait)
    ours, gateway = socket.socketpair()
    stdin, ssh = socket.socketpair()
    with ours, gateway, stdin, ssh:
        left = frame(Opcode.TEXT, text_of(READY, "a key"), masked=False)
        copying = Copying(ours, left, hear, stdin.fileno(), stdin.fileno())
        with pytest.raises(Told) as told:
            copying.run()
    assert told.value.args == (READY, "a key")
