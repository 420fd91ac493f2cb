"""Deletion: preconditions, grace periods of pods, finalizers, dependents."""

import asyncio

from tests.kube_api.api.statuses import bad_request, conflict, success
from tests.kube_api.kinds import BY_KIND, Resource
from tests.kube_api.objects import Object, clone, dig, is_finished, now, opened
from tests.kube_api.store import Store


def delete(
    store: Store, resource: Resource, thing: Object, options: Object, *, dry_run: bool = False
) -> Object:
    """Delete an object, or begin to, and return the answer's body.

    Raises:
        Refusal: 409, a precondition does not hold.
    """
    check_preconditions(resource, thing, options)
    metadata = thing["metadata"]
    if dry_run:
        return thing if resource.answers_object else _done(resource, thing)
    _note_policy(store, resource, thing, options)
    current = store.get(resource, metadata.get("namespace", ""), metadata["name"]) or thing
    if resource.plural == "namespaces":
        return _end_namespace(store, resource, current)
    grace = _grace(current, options) if resource.plural == "pods" else 0
    if grace > 0:
        return _end_later(store, resource, current, grace)
    if resource.plural == "pods" and dig(current, "metadata", "deletionTimestamp"):
        current = _end_now(store, resource, current)
    if dig(current, "metadata", "finalizers"):
        return _mark(store, resource, current)
    last = remove(store, resource, current)
    return last if resource.answers_object else _done(resource, thing)


def check_preconditions(resource: Resource, thing: Object, options: Object) -> None:
    """See that an object is the one that the caller means.

    Raises:
        Refusal: 409.
    """
    metadata = thing["metadata"]
    wanted = options.get("preconditions") or {}
    for key, word, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        if wanted.get(key) not in {None, metadata[key]}:
            why = (
                f"the {word} in the precondition ({wanted[key]}) does not match the {word} in"
                f" record ({metadata[key]}). The object might have been {hint}"
            )
            raise conflict(resource, metadata["name"], why, kind=resource.kind)


def _done(resource: Resource, thing: Object) -> Object:
    found: Object = {"name": thing["metadata"]["name"]}
    if resource.group:
        found["group"] = resource.group
    return success(details=found | {"kind": resource.plural, "uid": thing["metadata"]["uid"]})


def _grace(pod: Object, options: Object) -> int:
    """Seconds until the pod is ended by force; 0 where nothing runs that could end by itself."""
    wanted = options.get("gracePeriodSeconds")
    if wanted is not None and (not isinstance(wanted, int) or wanted < 0):
        raise bad_request("gracePeriodSeconds: must be a number that is not negative")
    if not dig(pod, "spec", "nodeName") or is_finished(pod):
        return 0
    seconds = pod["spec"]["terminationGracePeriodSeconds"] if wanted is None else wanted
    before = dig(pod, "metadata", "deletionGracePeriodSeconds")
    return int(seconds if before is None else min(seconds, before))


def _end_later(store: Store, resource: Resource, thing: Object, grace: int) -> Object:
    if dig(thing, "metadata", "deletionGracePeriodSeconds") == grace:
        return thing
    new = opened(thing)
    metadata = new["metadata"]
    if "deletionTimestamp" not in metadata:
        metadata["generation"] = metadata.get("generation", 0) + 1
    metadata["deletionTimestamp"] = now(grace)
    metadata["deletionGracePeriodSeconds"] = grace
    return store.put(resource, new)


def _end_now(store: Store, resource: Resource, thing: Object) -> Object:
    new = opened(thing)
    new["metadata"] |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
    return store.put(resource, new)


def _mark(store: Store, resource: Resource, thing: Object) -> Object:
    """Note that an object is to go as soon as its last finalizer is taken off."""
    if dig(thing, "metadata", "deletionTimestamp"):
        return thing
    new = opened(thing)
    new["metadata"] |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
    if resource.has_generation:
        new["metadata"]["generation"] = new["metadata"].get("generation", 0) + 1
    return store.put(resource, new)


def _end_namespace(store: Store, resource: Resource, thing: Object) -> Object:
    """Let a namespace terminate; a controller empties it and takes it away."""
    if dig(thing, "metadata", "deletionTimestamp"):
        return thing
    new = opened(thing)
    new["metadata"]["deletionTimestamp"] = now()
    new["status"] = {"phase": "Terminating"}
    return store.put(resource, new)


def remove(store: Store, resource: Resource, thing: Object) -> Object:
    """Take an object out of the store, and later what it owns."""
    metadata = thing["metadata"]
    last = store.remove(resource, metadata.get("namespace", ""), metadata["name"])
    if store.dependents(metadata["uid"]):
        asyncio.get_running_loop().call_soon(_collect, store, last)
    return last


def _note_policy(store: Store, resource: Resource, thing: Object, options: Object) -> None:
    """With Orphan, take the owner's name off its dependents before it goes."""
    policy = options.get("propagationPolicy", "Background")
    if policy not in {"Background", "Foreground", "Orphan"}:
        raise bad_request(f'unrecognized propagationPolicy: "{policy}"')
    if policy == "Orphan":
        uid = thing["metadata"]["uid"]
        for kind, dependent in store.dependents(uid):
            new = clone(dependent)
            owners = new["metadata"]["ownerReferences"]
            new["metadata"]["ownerReferences"] = [one for one in owners if one["uid"] != uid]
            store.put(kind, new)


def _collect(store: Store, owner: Object) -> None:
    """Delete what an object owned that is gone."""
    for resource, thing in store.dependents(owner["metadata"]["uid"]):
        delete(store, resource, thing, {})


def finish(store: Store, resource: Resource, thing: Object) -> Object:
    """Remove an object that was only waiting for its finalizers, if that is now so."""
    metadata = thing["metadata"]
    waits = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
    if not waits or resource.plural == "namespaces":
        return thing
    if resource.plural == "pods" and metadata.get("deletionGracePeriodSeconds", 0) > 0:
        return thing
    return remove(store, resource, thing)


def resource_of(thing: Object) -> Resource:
    """Return the resource of an object by its apiVersion and kind."""
    return BY_KIND[thing["apiVersion"], thing["kind"]]
