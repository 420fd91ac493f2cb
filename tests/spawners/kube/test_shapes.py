"""What is kept of watched objects: all that is read of them, and a third of the rest."""

import json
from typing import Any

import msgspec
import pytest

from kworkspace.spawners.kube.kinds import Kind
from kworkspace.spawners.kube.shapes import shape
from tests.spawners.kube.recordings import DIRECTORY, recording

PODS = sorted(path.stem for path in DIRECTORY.glob("pod-*.json"))


def _keep(kind: Kind, object: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(json.dumps(object), type=shape(kind))
    return found


def _pods(name: str) -> list[dict[str, Any]]:
    events = [line["event"] for line in recording(name)["watch"]]
    return [
        each["object"] for each in events if isinstance(each, dict) and each["type"] != "BOOKMARK"
    ]


@pytest.mark.parametrize("name", PODS)
def test_recorded_pods_keep_what_is_read(name: str) -> None:
    for pod in _pods(name):
        kept = _keep(Kind.POD, pod)
        assert kept["metadata"].items() <= pod["metadata"].items()
        for key in ("phase", "reason", "message", "podIP", "conditions"):
            assert kept["status"].get(key) == pod["status"].get(key)
        for before, after in zip(
            pod["status"].get("containerStatuses", ()),
            kept["status"].get("containerStatuses", ()),
            strict=True,
        ):
            assert after.items() <= before.items()
            assert after["state"] == before["state"]
        for key in ("image", "resources"):
            assert kept["spec"]["containers"][0][key] == pod["spec"]["containers"][0][key]


def test_what_nobody_reads_is_left_out() -> None:
    pod = _pods("pod-ready-then-deleted")[0]
    pod["metadata"]["managedFields"] = [{"manager": "x"}]
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    kept = _keep(Kind.POD, pod)
    assert "managedFields" not in kept["metadata"]
    assert "env" not in kept["spec"]["containers"][0]


def test_a_volume_says_which_claim_it_is() -> None:
    volumes = [
        {"name": "home", "persistentVolumeClaim": {"claimName": "workspace-alice"}},
        {"name": "ssh", "secret": {"secretName": "workspace-alice-ssh"}},
    ]
    kept = _keep(Kind.POD, {"spec": {"volumes": volumes}})
    assert kept["spec"]["volumes"] == [volumes[0], {"name": "ssh"}]


def test_events_keep_what_they_say() -> None:
    for event in recording("pod-unschedulable")["kubernetes_events"]:
        kept = _keep(Kind.EVENT, event)
        for key in ("reason", "message", "involvedObject", "count", "series", "lastTimestamp"):
            assert kept.get(key) == event.get(key)


@pytest.mark.parametrize("kind", [Kind.CLAIM, Kind.JOB, Kind.SERVICE])
def test_other_kinds_keep_spec_and_status(kind: Kind) -> None:
    kept = _keep(kind, {"metadata": {"name": "a"}, "spec": {"x": 1}, "status": {}, "data": {}})
    assert kept == {"metadata": {"name": "a"}, "spec": {"x": 1}, "status": {}}


def test_nothing_is_made_up() -> None:
    assert _keep(Kind.POD, {"spec": None, "metadata": {}}) == {"spec": None, "metadata": {}}
