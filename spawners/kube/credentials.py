"""Which cluster, and who the hub is there: a kubeconfig or a pod's service account, kept fresh.

kubernetes_asyncio reads both; its loader is asked again every minute where a token can change (a
token file, an exec plug-in, an identity provider), and once for a call that was answered with 401.
Called by the client alone. Nothing secret is ever in a message.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.kube.errors import ClusterUnreachable, Unauthorized

if TYPE_CHECKING:
    from kubernetes_asyncio.client.configuration import Configuration

    from kworkspace.spawners.kube.sources import Source

LOOK_SECONDS = 60.0
AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class ConnectionOptions(Protocol):
    """What is configured of the connection; `KubeSpawner` has these options."""

    @property
    def kubeconfig(self) -> str:
        """A file, or several with a colon between; "" takes what the surroundings say."""

    @property
    def kube_context(self) -> str:
        """A context of the kubeconfig, "" for its current one."""

    @property
    def k8s_api_host(self) -> str:
        """The URL of the API server, "" for what kubeconfig or pod say."""

    @property
    def k8s_api_ssl_ca_cert(self) -> str:
        """A file of authorities to trust, "" for what kubeconfig or pod say."""

    @property
    def k8s_api_verify_ssl(self) -> bool:
        """Whether the server must prove who it is, where kubeconfig does not say otherwise."""

    @property
    def k8s_api_request_timeout(self) -> int:
        """Seconds that one call may take."""

    @property
    def k8s_api_request_retry_timeout(self) -> int:
        """Seconds for which a call that failed in passing is made again."""


def _environment_proxy(server: str) -> str | None:
    url = urlsplit(server)
    if proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return getproxies().get(url.scheme)


@dataclass(frozen=True, slots=True)
class Connection:
    """Plain `ConnectionOptions`."""

    kubeconfig: str = ""
    kube_context: str = ""
    k8s_api_host: str = ""
    k8s_api_ssl_ca_cert: str = ""
    k8s_api_verify_ssl: bool = True
    k8s_api_request_timeout: int = 30
    k8s_api_request_retry_timeout: int = 30


class CredentialsError(KworkspaceError):
    """What is configured of the connection cannot be used; the message names the file."""

    code = "cluster-credentials"


class Credentials:
    """The server's URL, what to trust, and the Authorization header of the moment."""

    def __init__(
        self, source: "Source", options: ConnectionOptions, configuration: "Configuration"
    ) -> None:
        self._source = source
        self._options = options
        self._configuration = configuration
        self._lock = asyncio.Lock()
        self._looked = asyncio.get_running_loop().time()
        self._told = False
        self._proxies: dict[str, str | None] = {}
        self.changes = 0

    @classmethod
    async def load(
        cls, options: ConnectionOptions, environ: Mapping[str, str] = os.environ
    ) -> "Credentials":
        """Read what is configured, or what the surroundings say.

        Raises:
            CredentialsError: it names the file, and says what is wrong with it.
        """
        from kworkspace.spawners.kube.sources import source  # noqa: PLC0415  # see there

        found = source(options, environ)
        return cls(found, options, await found.read(afresh=True))

    @property
    def server(self) -> str:
        """The API server's URL."""
        return (self._options.k8s_api_host or str(self._configuration.host)).rstrip("/")

    @property
    def origin(self) -> str:
        """Where the credentials come from, for messages."""
        return self._source.place

    @property
    def has_certificate(self) -> bool:
        """Whether the hub proves itself with a client certificate."""
        return bool(self._configuration.cert_file)

    @property
    def server_hostname(self) -> str | None:
        """The name that the server's certificate must bear, if not the URL's."""
        return self._configuration.tls_server_name or None

    @property
    def proxy(self) -> str | None:
        """The proxy to go through: the kubeconfig's, else the environment's."""
        if self._configuration.proxy:
            return str(self._configuration.proxy)
        if self.server not in self._proxies:  # all of the environment is read for it
            self._proxies[self.server] = _environment_proxy(self.server)
        return self._proxies[self.server]

    def tls(self) -> ssl.SSLContext:
        """Make the TLS context of new connections.

        Raises:
            CredentialsError: a certificate or key cannot be used.
        """
        settings = self._configuration
        authorities = self._options.k8s_api_ssl_ca_cert or settings.ssl_ca_cert
        try:
            context = ssl.create_default_context(cafile=authorities or None)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        except (OSError, ValueError) as error:
            raise CredentialsError(
                f"{self.origin}: its certificates cannot be used ({authorities or 'authorities'}"
                f"{', ' + settings.cert_file if settings.cert_file else ''}): {error}"
            ) from error
        if settings.disable_strict_ssl_verification:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not (settings.verify_ssl and self._options.k8s_api_verify_ssl):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def header(self) -> str | None:
        """Return the Authorization header, as new as its source."""
        now = asyncio.get_running_loop().time()
        if self._source.changes and now - self._looked >= LOOK_SECONDS:
            async with self._lock:
                if now - self._looked >= LOOK_SECONDS:
                    await self._look(afresh=False)
        return self._header()

    async def renew(self, refused: str | None) -> bool:
        """Read all anew after a 401; return whether it is worth another try.

        Args:
            refused: the header that was not accepted.
        """
        async with self._lock:
            if self._header() != refused:
                return True
            now = asyncio.get_running_loop().time()
            if self._looked > now - AGAIN_SECONDS and self.changes:
                return False  # many calls at once are refused: one look is enough
            await self._look(afresh=True)
            self.changes += 1
            return self._header() != refused or self.has_certificate

    async def look_again(self) -> bool:
        """Read all anew; return whether that was done, which it is not too often."""
        async with self._lock:
            if asyncio.get_running_loop().time() - self._looked < AGAIN_SECONDS:
                return False
            return await self._look(afresh=True)

    def _header(self) -> str | None:
        key = self._configuration.api_key.get("BearerToken")
        return None if key is None else str(key).strip()

    async def _look(self, *, afresh: bool) -> bool:
        self._looked = asyncio.get_running_loop().time()
        try:
            self._configuration = await self._source.read(afresh=afresh)
        except CredentialsError as error:
            if not self._told:
                log.warning("The hub's credentials cannot be renewed: %s", error)
            self._told = True
            return False
        self._told = False
        return True

    def unauthorized(self, error: Unauthorized) -> Unauthorized:
        """Return a 401's error with the place where the credentials come from."""
        return Unauthorized(
            f"{error.message}. They come from {self.origin}",
            http_status=error.http_status,
            reason=error.reason,
            server_message=error.server_message,
        )

    def untrusted(self, cause: Exception) -> ClusterUnreachable:
        """Return the error of a server whose certificate proves nothing."""
        return ClusterUnreachable(
            f"The API server {self.server} is not trusted: {tls_reason(cause)}. What is trusted"
            f" comes from {self.origin}"
        )


def tls_reason(cause: Exception) -> str:
    """Return in a few words why TLS failed."""
    inner: BaseException = getattr(cause, "certificate_error", None) or cause
    inner = getattr(inner, "os_error", None) or inner
    reason = getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or str(inner)
    return str(reason)
