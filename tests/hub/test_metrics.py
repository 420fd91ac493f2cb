"""The numbers of what a spawner watches; of requests and starts: api/test_metrics.py."""

from kworkspace.hub.metrics import Metrics
from kworkspace.hub.readmodel import ReadModel
from kworkspace.spawners.base import Watch
from tests.hub.api.test_metrics import values


def test_watches() -> None:
    watches = [Watch("pods", True, 1), Watch("events", False, 4, 3, 2)]
    text = Metrics(ReadModel(), lambda: watches).text().decode()
    assert values(text, "kworkspace_watch_fresh") == {("pods",): 1.0, ("events",): 0.0}
    assert values(text, "kworkspace_watch_breaks_total") == {("pods",): 0.0, ("events",): 3.0}
    assert values(text, "kworkspace_watch_expired_total")[("events",)] == 2.0
