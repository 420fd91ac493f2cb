"""Lists in pages, as JupyterHub makes them: `offset`, `limit`, and the envelope for who asks."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from kworkspace.cli.client.errors import BadRequest
from kworkspace.hub.api.base import BaseHandler

T = TypeVar("T")

PAGE = 200
_KEPT = frozenset({"state"})  # what the next page is to be asked for with too
PAGINATED = "application/jupyterhub-pagination+json"


def reply_page(handler: BaseHandler, rows: Sequence[T], view: Callable[[T], object]) -> None:
    """Write the page that the query asks for.

    Args:
        handler: whose answer it is.
        rows: all of them.
        view: makes a row's wire model; only called for those of the page.

    Raises:
        BadRequest: `offset` or `limit` is not a number that can be.
    """
    offset = _number(handler, "offset", 0)
    limit = min(max(_number(handler, "limit", PAGE), 1), PAGE)
    items = [view(row) for row in rows[offset : offset + limit]]
    if PAGINATED not in handler.request.headers.get("Accept", ""):
        handler.reply(items)
        return
    following = None
    if offset + limit < len(rows):
        request = handler.request
        kept = {key: request.arguments[key] for key in request.arguments if key in _KEPT}
        query = urlencode({**kept, "offset": offset + limit, "limit": limit}, doseq=True)
        url = f"{request.protocol}://{request.host}{request.path}?{query}"
        following = {"offset": offset + limit, "limit": limit, "url": url}
    paging = {"offset": offset, "limit": limit, "total": len(rows), "next": following}
    handler.reply({"items": items, "_pagination": paging})


def _number(handler: BaseHandler, name: str, default: int) -> int:
    text = handler.get_query_argument(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadRequest(f"{name}: expected a number that is not negative")
    return int(text)
