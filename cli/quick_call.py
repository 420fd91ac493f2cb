"""Makes one call of the hub on a plain socket, for `commands.proxy`, which must start fast.

The same as `client.sync` would, without what takes that longer to load than a tunnel to open.
"""

from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.replies import MAX_REPLY, check_size, decode_reply
from kworkspace.cli.tunnel_dial import connect, unreachable

T = TypeVar("T")


def send(api: str, call: Call[T], token: str, ca_file: Path | None) -> T:
    """Make one call, and return what the hub answers.

    Args:
        api: the hub's URL.
        call: which, of no stream.
        token: of the person.
        ca_file: CA certificates to trust instead of the system's.

    Raises:
        KworkspaceError: what the hub answered, or HubUnreachable.
    """
    parts = urlsplit(api + call.path)
    where = f"the hub at {api}"
    sock = connect(parts, ca_file, where)
    connection = HTTPConnection(parts.hostname or "")
    connection.sock = sock
    headers = {
        **call.headers,
        "Host": parts.netloc.rpartition("@")[2],
        "Authorization": f"Bearer {token}",
        "Connection": "close",
    }
    body = None if call.body is None else msgspec.json.encode(call.body)
    try:
        connection.request(call.method, parts.path, body, headers)
        with connection.getresponse() as response:
            content = response.read(MAX_REPLY + 1)
    except OSError as error:
        raise unreachable(error, where) from error
    except HTTPException as error:
        raise HubUnreachable(f"what answers as {where} is none; check the URL") from error
    finally:
        connection.close()
    check_size(len(content))
    if 300 <= response.status < 400:
        raise HubUnreachable(f"what answers as {where} is none (HTTP {response.status})")
    told = {name.title(): text for name, text in response.headers.items()}
    return decode_reply(call, response.status, told, content)
