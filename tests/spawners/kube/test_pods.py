"""Readings of a pod: as recorded, and of one that says nothing yet."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kworkspace.spawners.kube import pods
from tests.spawners.kube.recordings import watched


def test_a_new_pod_says_nothing() -> None:
    new: dict[str, Any] = {"metadata": {"name": "alice", "uid": "1"}}
    assert (pods.phase(new), pods.node(new), pods.address(new)) == ("Pending", "", "")
    assert pods.condition(new, "Ready") == {}
    assert pods.status_of(new) == {}
    assert pods.request(new, "cpu") == ""
    assert pods.image(new) == ""
    assert (pods.label(new, "a"), pods.annotation(new, "a")) == ("", "")
    assert not any((pods.is_ready(new), pods.is_alive(new), pods.is_over(new)))
    assert not pods.is_terminating(new)


def test_a_recorded_life() -> None:
    told: list[tuple[bool, bool, bool]] = []
    for _, _, pod, _ in watched("pod-ready-then-deleted"):
        state = (pods.is_alive(pod), pods.is_ready(pod), pods.is_over(pod))
        if not told or told[-1] != state:
            told.append(state)
    assert told == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (False, False, False),  # deleted, and running on for its grace period
        (False, False, True),
    ]


@pytest.mark.parametrize("name", ["pod-failed", "pod-evicted", "pod-image-pull-backoff"])
def test_events_in_order(name: str) -> None:
    [*_, (_, _, pod, events)] = watched(name)
    mine = pods.events_of(pod, [*events[2:], *_of_another(events), *events[:2]])
    assert len(mine) == len(events)
    seconds = [pods.event_time(event).replace(microsecond=0) for event in mine]
    assert seconds == sorted(seconds)
    assert pods.events_of(pod, events)[0]["reason"] == "Scheduled"


def _of_another(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**event, "involvedObject": {"kind": "Pod", "uid": "another"}} for event in events]


def test_times() -> None:
    assert pods.parse_time(None) is None
    expected = datetime(2026, 11, 23, 4, 31, 30, 359952, tzinfo=UTC)
    assert pods.parse_time("2026-11-23T04:31:30.359952Z") == expected


def test_requests_may_stand_in_limits() -> None:
    pod = {
        "metadata": {"name": "alice", "uid": "1"},
        "spec": {
            "containers": [
                {"name": "side", "image": "b", "resources": {"requests": {"cpu": "1"}}},
                {
                    "name": "workspace",
                    "image": "a",
                    "resources": {
                        "requests": {"cpu": "2"},
                        "limits": {"cpu": "4", "nvidia.com/gpu": "1"},
                    },
                },
            ],
            "initContainers": [{"name": "fetch", "image": "c"}],
        },
    }
    assert pods.request(pod, "cpu") == "2"
    assert pods.request(pod, "nvidia.com/gpu") == "1"
    assert [pods.image(pod, name) for name in ("workspace", "fetch", "no")] == ["a", "c", ""]
