"""Patience with a hub that restarts, on a clock that does not wait."""

from typing import Any, cast

import pytest

from kworkspace.cli.client import calls
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import Forbidden, HubUnreachable, KworkspaceError, Unavailable
from kworkspace.gateway.hub import PATIENCE_SECONDS, backoff, patient

pytestmark = pytest.mark.asyncio


class Answers:
    """A hub that answers as it is told to."""

    def __init__(self, *errors: KworkspaceError) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def send(self, call: calls.Call[Any]) -> None:
        """Raise the next error, or answer."""
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)


def _client(answers: Answers) -> AsyncClient:
    return cast("AsyncClient", answers)


@pytest.mark.looptime
async def test_tries_again_while_the_hub_is_away() -> None:
    """Not reachable, then not ready, then there."""
    answers = Answers(HubUnreachable("gone"), Unavailable("not ready"))
    await patient(_client(answers), calls.start_session_server("s"))
    assert answers.calls == 3


@pytest.mark.looptime
async def test_gives_up_in_time() -> None:
    """After PATIENCE_SECONDS and a handful of tries."""
    answers = Answers(*(HubUnreachable("gone") for _ in range(100)))
    with pytest.raises(HubUnreachable):
        await patient(_client(answers), calls.start_session_server("s"))
    assert PATIENCE_SECONDS < answers.calls < 20


@pytest.mark.looptime
async def test_a_refusal_is_final() -> None:
    """And told as one."""
    answers = Answers(Forbidden("no"))
    with pytest.raises(Forbidden):
        await patient(_client(answers), calls.start_session_server("s"), once=True)
    assert answers.calls == 1


@pytest.mark.looptime
async def test_a_refusal_after_silence_may_be_a_grant() -> None:
    """The hub takes a proof once; its answer to the first try was lost."""
    answers = Answers(HubUnreachable("gone"), Forbidden("used before"))
    with pytest.raises(HubUnreachable):
        await patient(_client(answers), calls.start_session_server("s"), once=True)


async def test_backoff_grows_to_its_cap() -> None:
    """With jitter, and without overflow."""
    assert 0.05 <= backoff(0, 10) <= 0.1
    assert 5 <= backoff(1000, 10) <= 10
