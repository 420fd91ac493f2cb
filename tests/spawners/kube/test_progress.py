"""What is said of a start: for every recording of a real cluster, and for what was not recorded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kworkspace.spawners.kube.progress import Report, Verdict, report
from tests.spawners.kube.recordings import watched

WAITING, QUEUED, TROUBLED = Verdict.WAITING, Verdict.QUEUED, Verdict.TROUBLED
READY, FAILED = Verdict.READY, Verdict.FAILED
NOW = datetime(2026, 11, 23, 4, 31, 50, tzinfo=UTC)
UNPULLABLE = (
    "The image registry.invalid/no/such:1 cannot be pulled yet: failed to pull and unpack image"
    ' "registry.invalid/no/such:1": failed to resolve reference "registry.invalid/no/such:1":'
    ' failed to do request: Head "https://registry.invalid/v2/no/such/manifests/1": dial tcp:'
    " lookup registry.invalid on 10.255.255.53:53: no such host"
)
MULTI_ATTACH = (
    'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and'
    " can't be attached to another"
)
STARTS = [(WAITING, "Waiting for a node"), (WAITING, "Starting the container")]
DELETED = (FAILED, "its pod was deleted, not by the hub")


def told(name: str) -> list[tuple[Verdict, str]]:
    """Return what is said while a recording is replayed, each thing once."""
    said: list[tuple[Verdict, str]] = []
    for now, _type, pod, events in watched(name):
        heard = report(pod, events, now=now)
        if not said or said[-1] != (heard.verdict, heard.message):
            said.append((heard.verdict, heard.message))
    return said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "pod-ready-then-deleted",
            [
                *STARTS,
                (WAITING, "Waiting for the SSH server"),
                (READY, "The workspace answers"),
                DELETED,
            ],
        ),
        (
            "pod-evicted",
            [
                *STARTS,
                (WAITING, "Waiting for the SSH server"),
                (READY, "The workspace answers"),
                (FAILED, "its node node1 is being emptied"),
            ],
        ),
        (
            "pod-failed",
            [
                *STARTS,
                (READY, "The workspace answers"),
                (FAILED, "its first process ended with exit code 3"),
            ],
        ),
        (
            "pod-oom-killed",
            [
                *STARTS,
                (READY, "The workspace answers"),
                (FAILED, "it ran out of memory (its limit is 64Mi)"),
            ],
        ),
        ("pod-ignores-sigterm", [*STARTS, (READY, "The workspace answers"), DELETED]),
        (
            "pod-image-pull-backoff",
            [
                (WAITING, "Waiting for a node"),
                (WAITING, "Pulling image registry.invalid/no/such:1"),
                (TROUBLED, UNPULLABLE),
            ],
        ),
        (
            "pod-unschedulable",
            [(WAITING, "Waiting for a node"), (QUEUED, "Waiting for a node with 1000 CPU")],
        ),
        (
            "pod-invalid-volume",
            [
                (WAITING, "Waiting for a node"),
                (QUEUED, "Waiting for the volume claim nope, which does not exist yet"),
            ],
        ),
    ],
)
def test_recordings(name: str, expected: list[tuple[Verdict, str]]) -> None:
    assert told(name) == expected


def test_recorded_crash_loop() -> None:
    said = told("pod-crash-loop")
    assert said[:4] == [
        *STARTS,
        (READY, "The workspace answers"),  # it has no readiness probe, as ours have
        (TROUBLED, "The first process ended (exit code 1); it is started again"),
    ]
    assert (FAILED, "its first process ends again and again (exit code 1)") in said


def test_without_events() -> None:
    """Where they come late, or are not to be had, the pod itself tells enough."""
    said = [report(pod, (), now=now).message for now, _, pod, _ in watched("pod-evicted")]
    assert said[:5] == [
        "Waiting for a node",
        *["Preparing it on node1"] * 3,
        "Waiting for the SSH server",
    ]


def pod(*, node: str = "node-1", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "workspace-alice", "uid": "1"},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "containers": [{"name": "workspace", "image": "pytorch:2.4"}],
        },
        "status": {"phase": "Pending", **status},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "workspace", "state": state}])


def event(reason: str, message: str, *, ago: float = 0, uid: str = "1") -> dict[str, Any]:
    return {
        "metadata": {"name": reason},
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "lastTimestamp": (NOW - timedelta(seconds=ago)).isoformat(),
    }


def look(pod: dict[str, Any], *events: dict[str, Any], last_node: str = "") -> Report:
    return report(pod, events, now=NOW, last_node=last_node)


@pytest.mark.parametrize(
    ("ago", "shown"), [(0, ""), (4, ""), (5, " (5 s)"), (40.6, " (40 s)"), (-9, "")]
)
def test_pulling_says_for_how_long(ago: float, shown: str) -> None:
    pulling = event("Pulling", 'Pulling image "pytorch:2.4"', ago=ago)
    said = look(waiting("ContainerCreating"), event("Scheduled", "", ago=60), pulling)
    assert (said.verdict, said.message) == (WAITING, f"Pulling image pytorch:2.4{shown}")


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        (
            "InvalidImageName",
            'Failed to apply default image tag "A b": couldn\'t parse image name',
            (
                "the name of the image pytorch:2.4 is not valid: Failed to apply default image tag"
                ' "A b": couldn\'t parse image name'
            ),
        ),
        (
            "ErrImageNeverPull",
            'Container image "pytorch:2.4" is not present with pull policy of Never',
            (
                "the image pytorch:2.4 is not on the node, and is not to be pulled: Container image"
                ' "pytorch:2.4" is not present with pull policy of Never'
            ),
        ),
        (
            "CreateContainerConfigError",
            'secret "token" not found',
            'the container cannot be made: secret "token" not found',
        ),
    ],
)
def test_what_cannot_heal(reason: str, message: str, expected: str) -> None:
    said = look(waiting(reason, message))
    assert (said.verdict, said.message) == (FAILED, expected)


@pytest.mark.parametrize(
    ("message", "last_node", "expected"),
    [
        (
            MULTI_ATTACH,
            "node-3",
            "Volume is still attached to node-3",
        ),
        (
            MULTI_ATTACH,
            "",
            "Volume is still attached to another node",
        ),
        (
            (
                'AttachVolume.Attach failed for volume "pvc-1": rpc error: volume pvc-1 is already'
                ' attached to node "node-3"'
            ),
            "",
            "Volume is still attached to node-3",
        ),
        (
            'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other-0',
            "",
            "The volume is still used by other-0",
        ),
        (
            'AttachVolume.Attach failed for volume "pvc-1": timed out',
            "",
            (
                'The volume cannot be attached yet: AttachVolume.Attach failed for volume "pvc-1":'
                " timed out"
            ),
        ),
    ],
)
def test_volumes_that_are_elsewhere(message: str, last_node: str, expected: str) -> None:
    attach = event("FailedAttachVolume", message)
    said = look(waiting("ContainerCreating"), attach, last_node=last_node)
    assert (said.verdict, said.message) == (TROUBLED, expected)


def test_the_last_event_counts() -> None:
    events = [
        event("FailedMount", "MountVolume.SetUp failed", ago=20),
        event("SuccessfulAttachVolume", "AttachVolume.Attach succeeded", ago=10),
    ]
    creating = waiting("ContainerCreating")
    assert look(creating, *events).message == "Mounting the volume"
    assert look(creating, *events[:1]).message == (
        "The volume cannot be mounted yet: MountVolume.SetUp failed"
    )
    assert look(creating, event("FailedMount", "of another", uid="2")).message == (
        "Preparing it on node-1"
    )


def test_init_containers_are_steps() -> None:
    starting = pod(
        conditions=[{"type": "Initialized", "status": "False"}],
        initContainerStatuses=[
            {"name": "fetch", "state": {"terminated": {"exitCode": 0}}},
            {"name": "index", "state": {"running": {}}},
        ],
        containerStatuses=[
            {"name": "workspace", "state": {"waiting": {"reason": "PodInitializing"}}}
        ],
    )
    starting["spec"]["initContainers"] = [{"name": "fetch"}, {"name": "index"}]
    said = look(starting, event("Started", "Started container index"))
    assert (said.verdict, said.message) == (WAITING, "Running step 2, index")


def test_an_init_container_that_fails_ends_the_start() -> None:
    failed = {"exitCode": 2, "message": "fetching\nno such dataset\n"}
    starting = pod(
        phase="Failed", initContainerStatuses=[{"name": "fetch", "state": {"terminated": failed}}]
    )
    said = look(starting)
    assert (said.verdict, said.message) == (
        FAILED,
        "its init container fetch ended with exit code 2: no such dataset",
    )


def test_nobody_knows_what_a_new_reason_means() -> None:
    said = look(waiting("SomethingNew", "of a later version\nof Kubernetes"))
    assert said.verdict is TROUBLED
    assert said.message == ("The container cannot be started yet: of a later version of Kubernetes")
