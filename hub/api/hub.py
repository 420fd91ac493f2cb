"""`/hub/api/`, `/health` and `/metrics`: what a hub says of itself."""

from kworkspace.cli.client.models import Health, HubRoot
from kworkspace.hub import __version__
from kworkspace.hub.api.base import PUBLIC, BaseHandler
from kworkspace.hub.metrics import CONTENT_TYPE
from kworkspace.hub.scopes import Scope


class RootHandler(BaseHandler):
    """The version, and the gateway's door with what to trust there."""

    scopes = {"GET": PUBLIC}

    def get(self) -> None:
        """Return HubRoot."""
        self.reply(HubRoot(version=__version__, ssh=self.domain.gateways.door()))


class HealthHandler(BaseHandler):
    """It answers, so the process lives (a liveness probe)."""

    scopes = {"GET": PUBLIC}

    def get(self) -> None:
        """Return Health."""
        self.reply(Health(ready=self.domain.ready, version=__version__))


class ReadyHandler(BaseHandler):
    """Whether to send requests here (a readiness probe)."""

    scopes = {"GET": PUBLIC}

    def get(self) -> None:
        """Return Health: 503 until what runs is adopted, from SIGTERM on, and without database."""
        ready = self.domain.ready and self.domain.fresh()
        self.reply(Health(ready=ready, version=__version__), 200 if ready else 503)


class MetricsHandler(BaseHandler):
    """What a monitoring system reads."""

    scopes = {"GET": Scope.READ_METRICS}

    def prepare(self) -> None:
        """Take a token, unless the configuration says that none is needed."""
        if self.domain.metrics_need_token:
            super().prepare()

    def get(self) -> None:
        """Write Prometheus' text format."""
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.domain.metrics.text())
