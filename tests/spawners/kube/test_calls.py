"""How one call is tried again: for how long, how often, and how many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from kworkspace.spawners.kube import calls
from kworkspace.spawners.kube.calls import Calls
from kworkspace.spawners.kube.errors import (
    ApiError,
    Call,
    ClusterUnreachable,
    NotFoundInCluster,
    Throttled,
    Unauthorized,
)
from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.retry import Failure
from kworkspace.spawners.kube.transport import Failed

CALL = Call("get", Kind.POD, "workspaces", "alice")
BROKEN = Failure(ClusterUnreachable("no answer"))
GONE = Failure(NotFoundInCluster("gone", http_status=404))


class Answer:
    """A response."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        """Return the body."""
        return self._body


class Replies:
    """A transport that answers from a list; the last one again and again.

    Attributes:
        tries: how many came.
        most: that were under way at once.
    """

    server = "https://cluster.test"

    def __init__(self, *replies: bytes | Failure) -> None:
        self._replies = list(replies)
        self.tries = self.most = self._now = 0

    @asynccontextmanager
    async def request(self, *args: Any, **kwargs: Any) -> AsyncIterator[Answer]:
        """Answer."""
        self.tries += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(0.01)
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
            if isinstance(reply, Failure):
                raise Failed(reply)
            yield Answer(reply)
        finally:
            self._now -= 1


def _calls(replies: Replies, retry_seconds: float = 30) -> Calls:
    return Calls(replies, timeout=5, retry_seconds=retry_seconds)  # type: ignore[arg-type]


async def _get(replies: Replies, *, method: str = "GET", repeatable: bool = True) -> Any:
    return await _calls(replies).send(CALL, method, "/x", repeatable=repeatable)


@pytest.mark.looptime
async def test_it_is_tried_until_it_works() -> None:
    replies = Replies(BROKEN, BROKEN, b'{"a": 1}')
    assert await _get(replies) == {"a": 1}
    assert replies.tries == 3


@pytest.mark.looptime
async def test_it_is_given_up_after_a_while() -> None:
    replies = Replies(BROKEN)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ClusterUnreachable):
        await _get(replies)
    assert 25 < asyncio.get_running_loop().time() - begun <= 31
    assert 10 < replies.tries < 40


@pytest.mark.looptime
async def test_a_server_that_is_busy_is_left_alone_as_long_as_it_says() -> None:
    replies = Replies(Failure(Throttled("busy", retry_after=7)), b"{}")
    begun = asyncio.get_running_loop().time()
    await _get(replies, repeatable=False)
    assert 7 <= asyncio.get_running_loop().time() - begun <= 11


async def test_what_cannot_be_repeated_is_not() -> None:
    replies = Replies(BROKEN)
    with pytest.raises(ClusterUnreachable):
        await _get(replies, method="POST", repeatable=False)
    assert replies.tries == 1


@pytest.mark.looptime
async def test_gone_is_done_only_after_a_lost_answer() -> None:
    assert await _get(Replies(BROKEN, GONE), method="DELETE") == {}
    with pytest.raises(NotFoundInCluster):
        await _get(Replies(GONE), method="DELETE")
    with pytest.raises(NotFoundInCluster):
        await _get(Replies(BROKEN, GONE))


async def test_new_credentials_are_tried_once() -> None:
    refused = Failure(Unauthorized("who?", http_status=401), renewed=True)
    replies = Replies(refused, b"{}")
    assert await _get(replies, repeatable=False) == {}
    with pytest.raises(Unauthorized):
        await _get(replies := Replies(refused))
    assert replies.tries == 2


async def test_an_answer_that_makes_no_sense() -> None:
    replies = Replies(b"<html>")
    with pytest.raises(ApiError, match="is not a Kubernetes API server") as e:
        await _get(replies)
    assert isinstance(e.value.__cause__, msgspec.DecodeError)
    assert replies.tries == 1


async def test_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "AT_ONCE", 3)
    replies = Replies(b"{}")
    found = _calls(replies)
    await asyncio.gather(*(found.send(CALL, "GET", "/x", repeatable=True) for _ in range(20)))
    assert replies.most == 3
    assert replies.tries == 20
