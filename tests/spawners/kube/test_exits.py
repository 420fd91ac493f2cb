"""Each end is told once, with the best reason that is to be had within a moment."""

import asyncio
from typing import Any

import pytest

from kworkspace.spawners.base import Exit
from kworkspace.spawners.kube import exits
from kworkspace.spawners.kube.exits import Exits
from tests.hub.clock import until
from tests.spawners.kube.recordings import watched


class Hub:
    """Hears of ends."""

    def __init__(self) -> None:
        self.heard: list[Exit] = []
        self.asked: set[str] = set()
        self.exits = Exits(self.heard.append, lambda pod: pod["metadata"]["uid"] in self.asked)

    @property
    def reasons(self) -> list[str]:
        return [exit.reason for exit in self.heard]


@pytest.fixture
async def hub() -> Hub:
    return Hub()


def ours(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a recorded pod as one of a server."""
    pod["metadata"].setdefault("labels", {})["kworkspace.io/server"] = "server-1"
    pod["spec"]["restartPolicy"] = "Never"
    return pod


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pod-ready-then-deleted", "its pod was deleted, not by the hub"),
        ("pod-evicted", "its node node1 is being emptied"),
        ("pod-failed", "its first process ended with exit code 3"),
        ("pod-oom-killed", "it ran out of memory (its limit is 64Mi)"),
    ],
)
async def test_recordings(hub: Hub, name: str, reason: str) -> None:
    for _, type, pod, _ in watched(name):
        hub.exits.changed(type == "DELETED", ours(pod))
    assert hub.reasons == [reason]
    assert hub.heard[0].id == "server-1"


async def test_what_is_asked_for_is_no_news(hub: Hub) -> None:
    for _, type, pod, _ in watched("pod-ready-then-deleted"):
        hub.asked.add(pod["metadata"]["uid"])
        hub.exits.changed(type == "DELETED", ours(pod))
    assert hub.heard == []


def killed(**status: Any) -> dict[str, Any]:
    """Return a pod whose process was killed, and nothing says why."""
    [*_, (_, _, pod, _)] = watched("pod-failed")
    terminated = {"exitCode": 137, "reason": "Error"}
    pod["status"] |= {"phase": "Running", **status}
    pod["status"]["containerStatuses"][0]["state"] = {"terminated": terminated}
    return ours(pod)


async def test_the_nodes_word_is_waited_for(hub: Hub) -> None:
    hub.exits.changed(False, killed())
    assert hub.heard == []
    hub.exits.changed(False, killed(phase="Failed", reason="Evicted", message="low on memory"))
    assert hub.reasons == ["its node node1 evicted it: low on memory"]
    hub.exits.changed(True, killed(phase="Failed"))
    assert len(hub.heard) == 1


async def test_but_not_for_long(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exits.REASON_SECONDS < 1
    monkeypatch.setattr(exits, "REASON_SECONDS", 0.01)
    hub.exits.changed(False, killed())
    await until(lambda: hub.heard)
    assert hub.reasons == ["its first process was killed (SIGKILL)"]
    hub.exits.changed(False, killed(phase="Failed"))
    assert len(hub.heard) == 1


async def test_a_stop_meanwhile_and_the_end_of_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exits, "REASON_SECONDS", 0.01)
    hub.exits.changed(False, killed())
    hub.asked.add(killed()["metadata"]["uid"])
    await asyncio.sleep(0.02)
    assert hub.heard == []
    hub.asked.clear()
    hub.exits.changed(False, killed())
    hub.exits.close()
    await asyncio.sleep(0.02)
    assert hub.heard == []


async def test_while_it_starts_its_start_tells(hub: Hub) -> None:
    hub.exits.starting("server-1")
    for _, type, pod, _ in watched("pod-failed"):
        hub.exits.changed(type == "DELETED", ours(pod))
    assert hub.heard == []
    hub.exits.started("server-1")
    assert hub.heard == []


async def test_an_end_between_a_start_and_its_answer(hub: Hub) -> None:
    hub.exits.starting("server-1")
    for _, type, pod, _ in watched("pod-ready-then-deleted"):
        hub.exits.changed(type == "DELETED", ours(pod))
    hub.exits.started("server-1", pod["metadata"]["uid"])
    assert hub.reasons == ["its pod was deleted, not by the hub"]
    hub.exits.started("server-1", pod["metadata"]["uid"])
    assert len(hub.heard) == 1
