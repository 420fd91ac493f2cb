"""Recordings of a real API server, and what is told of them as they are replayed."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[2] / "kube_api" / "recordings"


def recording(name: str) -> dict[str, Any]:
    """Return a recording as it was made."""
    loaded: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_text())
    return loaded


def refusals() -> dict[str, dict[str, Any]]:
    """Return the answers with which an API server refused something, by what it was."""
    cases = recording("errors")["cases"]
    return {
        name: case["response"]
        for name, case in cases.items()
        if isinstance(case, dict) and case["response"]["status"] >= 400
    }


def watched(name: str) -> Iterator[tuple[datetime, str, dict[str, Any], list[dict[str, Any]]]]:
    """Yield a recorded watch: when, ADDED or MODIFIED or DELETED, the pod, the events by then."""
    whole = recording(name)
    begun: datetime | None = None
    for line in whole["watch"]:
        event = line["event"]
        if isinstance(event, str) or event["type"] == "BOOKMARK":
            continue
        pod = event["object"]
        begun = begun or datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
        now = begun.astimezone(UTC) + timedelta(seconds=line["t"] + 0.999)
        yield now, event["type"], pod, [e for e in whole["kubernetes_events"] if first(e) <= now]


def first(event: dict[str, Any]) -> datetime:
    """Return when an event happened for the first time."""
    text = event.get("firstTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(text or event["metadata"]["creationTimestamp"]).astimezone(UTC)
