"""How `sync.Client` gets to a hub: through which proxy, and trusting which certificates.

Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as with curl; loopback addresses are never
proxied. The trusted certificates are the `ca_file`, or the system's, or certifi's where Python
finds no system's (python.org's Python on macOS).
"""

import os
import ssl
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import ProxySchemeUnknown

from kworkspace.cli import __version__
from kworkspace.cli.client.errors import HubUnreachable

_AGENT = {"User-Agent": f"kworkspace/{__version__}"}


def open_pool(url: str, ca_file: Path | None) -> urllib3.PoolManager:
    """Return a pool of connections for one hub; nothing is connected yet.

    Raises:
        HubUnreachable: the proxy or the certificate file cannot be used.
    """
    context = trust(ca_file) if url.startswith("https:") else None
    proxy = proxy_for(url)
    if proxy is None:
        return urllib3.PoolManager(num_pools=2, headers=_AGENT, ssl_context=context)
    parts = urlsplit(proxy)
    credentials = None
    if parts.username is not None:
        credentials = urllib3.make_headers(
            proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        )
    bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        return urllib3.ProxyManager(
            bare, headers=_AGENT, proxy_headers=credentials, ssl_context=context
        )
    except ProxySchemeUnknown as error:
        raise HubUnreachable(
            f"the proxy of the environment, {bare}, is not an http or https one;"
            " set HTTPS_PROXY, or NO_PROXY for the hub"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether a host is this very computer: `localhost`, or an address that is."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that verifies.

    Raises:
        HubUnreachable: the file holds no certificates.
    """
    if ca_file is not None:
        try:
            return ssl.create_default_context(cafile=str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise HubUnreachable(f"ca_file: {ca_file} holds no PEM certificates") from error
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        try:
            return ssl.create_default_context(cafile=import_module("certifi").where())
        except ImportError:
            pass  # nothing to trust: the error about the hub's certificate names the remedy
    return ssl.create_default_context()


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy that the environment names for a hub's URL."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies_environment, proxy_bypass  # noqa: PLC0415 - few need it

    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    if proxy_bypass(parts.netloc):
        return None
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"
