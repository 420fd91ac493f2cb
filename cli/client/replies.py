"""Decoding an answer, the same for both transports: the call's type, or the hub's error.

Whatever answers, a hub or not, the outcome is a value or a KworkspaceError.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError, from_status
from kworkspace.cli.client.models import ErrorReply

T = TypeVar("T")

MAX_REPLY = 16 * 2**20
_SECONDS = re.compile(r"[0-9]{1,9}")


def check_size(size: int) -> None:
    """Refuse to hold more of an answer than MAX_REPLY bytes.

    Raises:
        HubUnreachable: it is larger.
    """
    if size > MAX_REPLY:
        raise HubUnreachable(
            f"the answer is larger than {MAX_REPLY >> 20} MB: that is not a kworkspace hub's;"
            " check the URL"
        )


def decode_json(content: bytes, kind: type[T]) -> T:
    """Decode JSON to a type.

    Raises:
        msgspec.DecodeError: it is anything else; bytes that are not UTF-8 and nesting without end
            too, for which msgspec has no error of its own.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(f"not JSON: {type(error).__name__}") from error


def decode_reply(call: Call[T], status: int, headers: Mapping[str, str], body: bytes) -> T:
    """Return what the call promised.

    Raises:
        KworkspaceError: the hub's own error, rebuilt from status and message; HubUnreachable when
            what answered is no hub (a proxy's page, a wrong URL).
    """
    if status >= 400:
        raise decode_error(call, status, headers, body)
    if call.reply is type(None):
        return None
    try:
        return decode_json(body, call.reply)
    except msgspec.DecodeError as error:
        raise HubUnreachable(
            f"{call.method} {call.path}: the answer is not one of a kworkspace hub; check the URL"
        ) from error


def decode_error(
    call: Call[T], status: int, headers: Mapping[str, str], body: bytes
) -> KworkspaceError:
    """Return the error that an answer of 400 and above stands for."""
    try:
        message = decode_json(body, ErrorReply).message
    except msgspec.DecodeError:
        message = f"{call.method} {call.path} was answered with HTTP {status}"
    retry_after = headers.get("Retry-After", "")
    seconds = int(retry_after) if _SECONDS.fullmatch(retry_after) else None
    return from_status(status, message, seconds)
