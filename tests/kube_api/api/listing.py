"""Lists: of a version, with selectors, in pages."""

import base64
import binascii
import json

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.selectors import both
from tests.kube_api.api.statuses import Refusal, bad_request, expired
from tests.kube_api.objects import Object
from tests.kube_api.store import Store

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start"
    " a new list without the continue parameter, or use the continue token in this response to"
    " retrieve the remainder of the results."
)


def list_objects(ask: Ask, store: Store, stale_since: int | None = None) -> Object:
    """Return a list object.

    Args:
        stale_since: the revision that a cached read answers with; None for the newest.

    Raises:
        Refusal: 400, 410 or 504.
    """
    start, revision = _start(ask, store, stale_since)
    matches = both(
        ask.resource, ask.query.get("labelSelector", ""), ask.query.get("fieldSelector", "")
    )
    if revision == store.revision:
        found = store.values(ask.resource, ask.namespace)
    else:
        old = store.snapshot(ask.resource, revision)
        found = [old[key] for key in sorted(old) if ask.namespace in {"", key[0]}]
    if matches is not None:
        found = [thing for thing in found if matches(thing)]
    if start:
        found = [thing for thing in found if _key(thing) > start]
    metadata: Object = {"resourceVersion": str(revision)}
    limit = ask.number("limit")
    if limit and len(found) > limit:
        rest = len(found) - limit
        found = found[:limit]
        metadata["continue"] = _token(revision, _key(found[-1]))
        if matches is None:
            metadata["remainingItemCount"] = rest
    # As on a real server, what stands in a list does not repeat its kind.
    items = [_bare(thing) for thing in found]
    return {
        "kind": f"{ask.resource.kind}List",
        "apiVersion": ask.resource.api_version,
        "metadata": metadata,
        "items": items,
    }


def _bare(thing: Object) -> Object:
    return {key: value for key, value in thing.items() if key not in {"kind", "apiVersion"}}


def _start(ask: Ask, store: Store, stale_since: int | None) -> tuple[list[str], int]:
    """After which key the list begins, and of which revision it is."""
    token = ask.query.get("continue", "")
    if token:
        try:
            revision, *start = json.loads(base64.urlsafe_b64decode(token))
        except (ValueError, binascii.Error):
            raise bad_request("continue key is not valid: illegal base64 data") from None
        if revision < store.compacted:
            raise expired(_TOO_OLD)
        return start, revision
    text, wanted = ask.query.get("resourceVersion", ""), ask.number("resourceVersion")
    if text == "0" and stale_since is not None:
        return [], stale_since
    if ask.query.get("resourceVersionMatch") == "Exact":
        if wanted < store.compacted:
            raise expired(f"The resourceVersion for the provided list is too old: {wanted}")
        return [], wanted
    if wanted > store.revision:
        why = f"Too large resource version: {wanted}, current: {store.revision}"
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        raise Refusal(504, "Timeout", f"Timeout: {why}", {"causes": causes}, retry_after=1)
    return [], store.revision


def _key(thing: Object) -> list[str]:
    return [thing["metadata"].get("namespace", ""), thing["metadata"]["name"]]


def _token(revision: int, key: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *key]).encode()).decode()
