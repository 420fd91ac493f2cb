"""The text that a person signs to get a token, composed by the client and again by the hub.

The client writes the URL that it dialled into the text, so that a signature given to one hub is
worth nothing at another, and the namespace binds it to this purpose (ssh-keygen(1), `-Y sign`;
OpenSSH's PROTOCOL.sshsig). Nothing that the hub sends is signed but the nonce.
"""

from urllib.parse import urlsplit

from kworkspace.cli.client.errors import BadRequest

SIGNATURE_NAMESPACE = "kworkspace"
NONCE_SECONDS = 60


def normal_url(url: str) -> str:
    """Return scheme, host, port and path of a hub's URL in the one way that is signed.

    Args:
        url: the hub's public URL, `http` or `https`, without query and fragment.

    Raises:
        BadRequest: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadRequest(f"url: '{url}' is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise BadRequest(f"url: '{url}' is not an http or https URL of a hub")
    if parts.query or parts.fragment:
        raise BadRequest("url: a hub's URL has no query and no fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    authority = host if port in (None, default) else f"{host}:{port}"
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"


def challenge_text(*, url: str, user: str, nonce: str) -> bytes:
    """Return the bytes to sign with `ssh-keygen -Y sign -n kworkspace`.

    Args:
        url: the hub's URL as the client dialled it.
        user: the user name, as `names.parse_user_name` returns it.
        nonce: from `POST /hub/api/auth/challenge`.
    """
    lines = (
        "kworkspace: sign in to this hub and get an API token",
        f"url: {normal_url(url)}",
        f"user: {user}",
        f"nonce: {nonce}",
        "",
    )
    return "\n".join(lines).encode()


def door_text(session_id: bytes) -> bytes:
    """Return the bytes that a gateway signs with its host key: this login was made at my door.

    Args:
        session_id: of the SSH connection (RFC 4253, section 7.2).
    """
    return b"kworkspace gateway session\0" + session_id
