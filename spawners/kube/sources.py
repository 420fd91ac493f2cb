"""What kubernetes_asyncio reads: a kubeconfig, or the service account of the hub's own pod.

Imported when a cluster is used, and not before: the library takes half a second and 40 MB. Its
exceptions end here.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from kubernetes_asyncio.client.configuration import Configuration
from kubernetes_asyncio.config import incluster_config as in_cluster
from kubernetes_asyncio.config.kube_config import KubeConfigLoader, load_kube_config

from kworkspace.spawners.kube.credentials import ConnectionOptions, CredentialsError

PLUGIN_SECONDS = 60.0
OPTION = "c.KubeSpawner.kubeconfig"


class Source(ABC):
    """Where credentials come from.

    Attributes:
        place: for messages.
        changes: whether they can change by themselves.
    """

    place: str
    changes: bool

    @abstractmethod
    async def read(self, *, afresh: bool) -> Configuration:
        """Read them.

        Args:
            afresh: also what was good for longer.

        Raises:
            CredentialsError: they cannot be read.
        """


class _ServiceAccount(Source):
    changes = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self.place = f"the pod's service account ({in_cluster.SERVICE_TOKEN_FILENAME})"

    async def read(self, *, afresh: bool) -> Configuration:
        return await asyncio.to_thread(self._read)

    def _read(self) -> Configuration:
        configuration = Configuration()
        try:
            in_cluster.InClusterConfigLoader(
                token_filename=in_cluster.SERVICE_TOKEN_FILENAME,
                cert_filename=in_cluster.SERVICE_CERT_FILENAME,
                try_refresh_token=False,  # it would be the loader's clock, and no look after a 401
                environ=self._environ,
            ).load_and_set(configuration)
        except Exception as error:
            raise CredentialsError(f"{self.place}: {_told(error)}") from error
        return configuration


class _Kubeconfig(Source):
    def __init__(self, paths: str, context: str) -> None:
        self._paths = paths
        self._context = context
        self._loader: KubeConfigLoader | None = None
        self.place = f"the kubeconfig {paths}"
        self.changes = False

    async def read(self, *, afresh: bool) -> Configuration:
        configuration = Configuration()
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                await self._load(configuration, afresh=afresh)
        except TimeoutError as error:
            raise CredentialsError(
                f"{self.place}: its credentials plug-in took longer than {PLUGIN_SECONDS:.0f} s"
            ) from error
        except Exception as error:  # a file of another shape raises nearly anything
            raise CredentialsError(f"{self.place}: {_told(error)}") from error
        if not configuration.host or configuration.host == Configuration().host:
            raise CredentialsError(f"{self.place}: its cluster has no server")
        return configuration

    async def _load(self, configuration: Configuration, *, afresh: bool) -> None:
        # A refreshed token of an identity provider is in the loader alone: that one is kept.
        if self._loader is not None and (not afresh or self._loader.provider):
            await self._loader.load_and_set(configuration)
            return
        self._loader = None
        self._loader = loader = await load_kube_config(
            config_file=self._paths,
            context=self._context or None,
            client_configuration=configuration,
            persist_config=False,  # the file is the admin's
        )
        user = loader._user  # noqa: SLF001  # nothing public says how the user proves itself
        self.changes = bool(loader.provider) or (
            user is not None and ("tokenFile" in user or hasattr(loader, "exec_plugin_expiry"))
        )


def source(options: ConnectionOptions, environ: Mapping[str, str]) -> Source:
    """Return where credentials come from, as configured or as the surroundings say.

    Raises:
        CredentialsError: there is nothing.
    """
    if options.kubeconfig:
        return _Kubeconfig(_existing(options.kubeconfig, OPTION), options.kube_context)
    if environ.get("KUBECONFIG"):
        return _Kubeconfig(_existing(environ["KUBECONFIG"], "$KUBECONFIG"), options.kube_context)
    if environ.get(in_cluster.SERVICE_HOST_ENV_NAME):
        return _ServiceAccount(environ)
    usual = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    if usual.is_file():
        return _Kubeconfig(str(usual), options.kube_context)
    raise CredentialsError(
        "No cluster is configured: the hub is not in a pod, $KUBECONFIG is not set, and there is no"
        f" {usual}. Set {OPTION} to a kubeconfig"
    )


def _existing(paths: str, option: str) -> str:
    """Return paths without those that do not exist, of which one at least must.

    Raises:
        CredentialsError: it names the file.
    """
    named = [str(Path(path).expanduser()) for path in paths.split(":") if path]
    there = [path for path in named if Path(path).is_file()]
    if not there:
        raise CredentialsError(f"The kubeconfig {':'.join(named)} does not exist ({option})")
    return ":".join(there)


def _told(error: Exception) -> str:
    """Return in one line what is wrong with a file or a plug-in, without any of its values."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}"
    line = " ".join(str(error).split())
    if not line or isinstance(error, (TypeError, KeyError, AttributeError, AssertionError)):
        return f"it is no kubeconfig ({f'{type(error).__name__}: {line[:100]}'.rstrip(': ')})"
    return line[:300]
