"""The page at the server's root: what is running here, and how to go on."""

from tornado.web import StaticFileHandler

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.models import ServerState
from kworkspace.hub import __version__
from kworkspace.hub.api.base import PUBLIC, BaseHandler
from kworkspace.hub.api.domain import Domain

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


class PageHandler(BaseHandler):
    """A page for people; its errors are pages too."""

    def set_default_headers(self) -> None:
        """Nothing but what we serve ourselves."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("Referrer-Policy", "no-referrer")

    def render_failure(self, error: KworkspaceError) -> None:
        """Write an error as a page."""
        self.set_status(error.status)
        self.show("error.html", status=error.status, message=error.message)

    @property
    def base_path(self) -> str:
        """The path that everything is below, without a slash at its end."""
        return self.domain.api_prefix.removesuffix("/hub/api")

    def show(self, template: str, **values: object) -> None:
        """Write a page from `share/templates`."""
        self.finish(self.domain.templates.get_template(template).render(**values))


class StaticHandler(PageHandler, StaticFileHandler):
    """What pages are made with; the files are `share/static`, and nothing else is."""

    scopes = {"GET": PUBLIC}

    def initialize(self, domain: Domain, path: str) -> None:  # type: ignore[override]  # of both
        """Take the domain, as every handler, and the directory."""
        PageHandler.initialize(self, domain)
        StaticFileHandler.initialize(self, path)


class HomeHandler(PageHandler):
    """The home page."""

    scopes = {"GET": PUBLIC}

    def get(self) -> None:
        """Say what runs and what to type."""
        states = [row.state for row in self.domain.readmodel.servers()]
        self.show(
            "home.html",
            version=__version__,
            ready=self.domain.ready,
            url=f"{self.request.protocol}://{self.request.host}{self.base_path}",
            door=self.domain.gateways.door(),
            running=states.count(ServerState.READY),
            starting=states.count(ServerState.STARTING),
        )
