"""How to get to a hub: through which proxy, and trusting which certificates.

Proxies come from HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as with curl; loopback addresses are never
proxied. The trusted certificates are the `ca_file`, or the system's, or certifi's where Python
finds no system's (python.org's Python on macOS). For `pools` and for tunnels, which load no more
than this.
"""

import os
import ssl
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from kworkspace.cli.client.errors import HubUnreachable


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
