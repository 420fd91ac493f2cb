"""The connections of `sync.Client` to a hub, by urllib3: made by the rules of `ways`."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import ProxySchemeUnknown

from kworkspace.cli import __version__
from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.ways import proxy_for, trust

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
