"""Why there is no answer from the hub, in one line each with what to do.

For `sync.Client`: name look-up, refusal, silence, TLS, a proxy, or something that is no hub. The
messages hold addresses and never a token or a proxy's password.
"""

import errno
import ssl
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from kworkspace.cli.client.errors import HubUnreachable

# OpenSSL's verification results (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _HOSTNAME, _ADDRESS = 9, 10, 62, 64
_PROBE_SECONDS = 5.0


class CertificateDates(HubUnreachable):
    """The hub's certificate has expired or is not valid yet: so says this computer's clock.

    Attributes:
        clock_offset: the hub's time minus ours in seconds, if the hub tells it.
    """

    code = "certificate-dates"
    clock_offset: float | None = None


def explain(error: HTTPError, url: str) -> HubUnreachable:
    """Return what to tell the person about a request that got no answer."""
    if isinstance(error, SSLError):
        return _tls(error, url)
    return HubUnreachable(f"cannot reach the hub at {url}: {_reason(error, url)}")


def no_hub(url: str, status: int, what: str) -> HubUnreachable:
    """Return what to tell when something else than a hub answers.

    Args:
        url: the URL that was asked.
        status: the HTTP status.
        what: the content type, or where a redirect leads.
    """
    if 300 <= status < 400 and what:
        return HubUnreachable(
            f"{url} sends us on to {_site(what)}: use that as --api if it is right"
        )
    if status == 407:
        return HubUnreachable(f"the proxy on the way to {url} wants a user name and password")
    if status in {502, 503, 504}:
        return HubUnreachable(
            f"what stands in front of {url} answers HTTP {status}: the hub behind it is not up"
        )
    answer = f"HTTP {status}, {what}" if what else f"HTTP {status}"
    return HubUnreachable(f"what answers at {url} is not a kworkspace hub ({answer}); check --api")


def clock_offset(date: str) -> float | None:
    """Return the hub's time minus ours in seconds by its Date header; None if it tells none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


def _site(location: str) -> str:
    try:
        parts = urlsplit(location)
    except ValueError:
        return location
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else location


def _reason(error: HTTPError, url: str) -> str:
    host = urlsplit(url).hostname
    if isinstance(error, ProxyError):
        return f"its proxy (HTTPS_PROXY, HTTP_PROXY) fails: {_inner(error.original_error)}"
    if isinstance(error, NameResolutionError):
        return f"no address is known for {host}; check the name, the network and the VPN"
    if isinstance(error, NewConnectionError):
        cause = error.__cause__
        if isinstance(cause, ConnectionRefusedError):
            return "the connection is refused; is the hub running, and the port right?"
        if isinstance(cause, OSError) and cause.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
            return f"there is no way to {host}; check the network and the VPN"
        return _inner(error)
    if isinstance(error, ConnectTimeoutError):
        return f"{host} does not respond; check the network, the VPN and firewalls"
    if isinstance(error, ReadTimeoutError):
        if "handshake" in _inner(error):  # Python's ssl has no class of its own for it
            return "it answers nothing in TLS; does it want http:// instead?"
        return "it took the connection and does not answer; try again later"
    if isinstance(error, ProtocolError):
        hint = "; does it want https?" if url.startswith("http:") else ""
        return f"the connection broke off{hint}"
    return _inner(error)


def _inner(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.rpartition("object at 0x")[2].partition(">: ")[2] or text


def _tls(error: SSLError, url: str) -> HubUnreachable:
    host = urlsplit(url).hostname
    cause = error.args[0] if error.args else error
    if not isinstance(cause, ssl.SSLCertVerificationError):
        if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER" in str(error):
            return HubUnreachable(f"{url} does not speak TLS; does it want http:// instead?")
        return HubUnreachable(f"TLS with {url} fails: {getattr(cause, 'reason', None) or cause}")
    code = cause.verify_code
    if code in {_NOT_YET_VALID, _EXPIRED}:
        state = "has expired" if code == _EXPIRED else "is not valid yet"
        dates = CertificateDates(f"the TLS certificate of {url} {state}")
        dates.clock_offset = _probe_clock(url)
        return dates
    if code in {_HOSTNAME, _ADDRESS}:
        return HubUnreachable(
            f"the TLS certificate of {url} is not made for {host}; use the hub's own name in --api"
        )
    return HubUnreachable(
        f"the TLS certificate of {url} is signed by nobody that this computer trusts"
        f" ({cause.verify_message}); set ca_file to your company's CA certificate"
    )


def _probe_clock(url: str) -> float | None:
    """Ask for the hub's time without verifying it: it goes into a sentence, and nothing is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    parts = urlsplit(url)
    connection = HTTPSConnection(
        parts.hostname or "", parts.port, timeout=_PROBE_SECONDS, context=context
    )
    try:
        connection.request("HEAD", f"{parts.path}/hub/api/")
        return clock_offset(connection.getresponse().headers.get("Date", ""))
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
