"""What a monitoring system reads of one hub process, in Prometheus' text format.

The domain tells what took how long; what there is, is counted when it is asked for. Every hub of a
database tells the same numbers of users and servers, and its own of everything else. Labels are
few and known beforehand: no user's name is one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from tornado.web import RequestHandler

from kworkspace.cli.client.models import ServerState
from kworkspace.hub import __version__
from kworkspace.hub.readmodel import ReadModel
from kworkspace.spawners.base import Watch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_START_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """They.

    Args:
        readmodel: what there is.
        watches: what the spawner watches of its cluster, as of now.
    """

    def __init__(self, readmodel: ReadModel, watches: Callable[[], Sequence[Watch]]) -> None:
        self._registry = CollectorRegistry()
        Info("kworkspace_hub", "The hub", registry=self._registry).info({"version": __version__})
        self._requests = Histogram(
            "kworkspace_request_duration_seconds",
            "Requests by handler and status, but for streams",
            ["method", "handler", "status"],
            registry=self._registry,
        )
        self._starts = Histogram(
            "kworkspace_server_start_duration_seconds",
            "Starts of servers, from the hub's first step to the last: ready, failed, stopped",
            ["outcome"],
            buckets=_START_BUCKETS,
            registry=self._registry,
        )
        self._lag = Histogram(
            "kworkspace_event_loop_lag_seconds",
            "How late the event loop was, looked at twice a second",
            buckets=_LAG_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Now(readmodel, watches))

    def request(self, method: str, handler: str, status: int, seconds: float) -> None:
        """A request was answered; anybody may send one, with whatever word for a method."""
        method = method if method in RequestHandler.SUPPORTED_METHODS else "other"
        self._requests.labels(method, handler, str(status)).observe(seconds)

    def start(self, outcome: str, seconds: float) -> None:
        """A start ended: "ready", "failed" or "stopped"."""
        self._starts.labels(outcome).observe(seconds)

    def lag(self, seconds: float) -> None:
        """The event loop was so late."""
        self._lag.observe(seconds)

    def text(self) -> bytes:
        """Return all of it."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What is counted when it is asked for."""

    def __init__(self, readmodel: ReadModel, watches: Callable[[], Sequence[Watch]]) -> None:
        self._readmodel = readmodel
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        users = len(list(self._readmodel.users()))
        yield GaugeMetricFamily("kworkspace_users", "Users that the hub knows", users)
        servers = GaugeMetricFamily("kworkspace_servers", "Servers by state", labels=["state"])
        states = Counter(row.state for row in self._readmodel.servers())
        for state in ServerState:
            servers.add_metric([state.value], states[state])
        yield servers
        yield from self._of_watches()

    def _of_watches(self) -> Iterator[Metric]:
        fresh = GaugeMetricFamily(
            "kworkspace_watch_fresh",
            "Whether what the spawner sees of the cluster is up to date; else it asks each time",
            labels=["kind"],
        )
        counts = {
            name: CounterMetricFamily(f"kworkspace_watch_{name}", help, labels=["kind"])
            for name, help in (
                ("lists", "Times that a watch began with a list of everything"),
                ("breaks", "Times that a watch broke"),
                ("expired", "Times that a watch's version was too old (410)"),
            )
        }
        for watch in self._watches():
            fresh.add_metric([watch.kind], watch.fresh)
            for name, family in counts.items():
                family.add_metric([watch.kind], getattr(watch, name))
        yield fresh
        yield from counts.values()
