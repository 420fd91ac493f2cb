"""What each verb does to the store. Synchronous: between a check and the change nothing happens.

Callers have checked the rights; bodies are decoded JSON.
"""

import json
from typing import Any

import yaml

from tests.kube_api.api import apply as fields
from tests.kube_api.api import patches, schema, validation
from tests.kube_api.api.admission import admit, admit_update
from tests.kube_api.api.asking import Ask
from tests.kube_api.api.defaults import complete, start_status, suffix
from tests.kube_api.api.deletion import delete, finish
from tests.kube_api.api.statuses import (
    Refusal,
    already_exists,
    bad_request,
    conflict,
    not_found,
    unsupported_media,
)
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object, clone, new_uid, now
from tests.kube_api.store import Store

PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
)
_SERVER_OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "managedFields")


class Verbs:
    """The API's verbs on one store.

    Attributes:
        warnings: of the request just handled; its answer carries them as headers.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.warnings: list[str] = []

    def get(self, ask: Ask) -> Object:
        """Return an object.

        Raises:
            Refusal: 404.
        """
        found = self.store.get(ask.resource, ask.namespace, ask.name)
        if found is None:
            raise not_found(ask.resource, ask.name)
        return found

    def create(self, ask: Ask, body: Any) -> Object:
        """Make an object and return it.

        Raises:
            Refusal: anything that a real server refuses with.
        """
        thing = self._decoded(ask, body)
        metadata = thing.setdefault("metadata", {})
        self._place(ask, thing)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + suffix()
        validation.check_name(ask.resource, metadata.get("name", ""))
        for key in (*_SERVER_OWNED, "resourceVersion"):
            metadata.pop(key, None)
        return self._create(ask, thing, manager=ask.query.get("fieldManager") or ask.manager)

    def _create(self, ask: Ask, thing: Object, manager: str = "") -> Object:
        """Store what is decoded and named; with a manager its fields are noted as a plain write."""
        resource, metadata = ask.resource, thing["metadata"]
        if self.store.get(resource, ask.namespace, metadata["name"]) is not None:
            raise already_exists(resource, metadata["name"])
        schema.check_required(resource, thing)
        metadata |= {"uid": new_uid(), "creationTimestamp": now()}
        if resource.has_generation:
            metadata["generation"] = 1
        complete(resource, thing, self.store)
        if manager:
            self._track(schema.of(resource), None, thing, manager=manager, ask=ask)
        validation.check(resource, thing)
        admit(resource, thing, self.store)
        start_status(resource, thing)
        thing = {"kind": resource.kind, "apiVersion": resource.api_version} | thing
        return thing if ask.is_dry_run else self.store.put(resource, thing)

    def _decoded(self, ask: Ask, body: Any) -> Object:
        resource = ask.resource
        if isinstance(body, dict):
            self._check_kind(resource, body)
        thing, unknown = schema.decode(resource, body)
        strictness = ask.query.get("fieldValidation", "Warn")
        if unknown and strictness == "Strict":
            lines = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a'
                f" {resource.kind}: strict decoding error: {lines}"
            )
        if strictness == "Warn":
            self.warnings += [f'unknown field "{path}"' for path in unknown]
        return thing

    @staticmethod
    def _check_kind(resource: Resource, body: Object) -> None:
        version, kind = body.get("apiVersion"), body.get("kind")
        if version in {None, resource.api_version} and kind in {None, resource.kind}:
            return
        group, _, last = (version or "").rpartition("/")
        raise bad_request(
            f"{kind} in version {json.dumps(last)} cannot be handled as a {resource.kind}: no kind"
            f' {json.dumps(kind)} is registered for version "{version or group}"'
        )

    @staticmethod
    def _place(ask: Ask, thing: Object) -> None:
        """Put an object where the path says it goes."""
        metadata = thing["metadata"]
        if metadata.get("namespace") not in {None, "", ask.namespace}:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the"
                " request"
            )
        if ask.resource.namespaced:
            metadata["namespace"] = ask.namespace
        if ask.name and metadata.setdefault("name", ask.name) != ask.name:
            raise bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL"
                f" ({ask.name})"
            )

    def update(self, ask: Ask, body: Any) -> Object:
        """Replace an object, or its status, and return it.

        Raises:
            Refusal: anything that a real server refuses with.
        """
        new = self._decoded(ask, body)
        new.setdefault("metadata", {})
        self._place(ask, new)
        return self._replace(ask, self.get(ask), new)

    def _replace(self, ask: Ask, old: Object, new: Object, *, tracked: bool = True) -> Object:
        """Store a new state of an object, after all checks; nothing happens if it is the same."""
        resource, before = ask.resource, old["metadata"]
        new = {"kind": old["kind"], "apiVersion": old["apiVersion"]} | new
        metadata = new["metadata"]
        if metadata.get("resourceVersion", "") not in {"", before["resourceVersion"]}:
            raise conflict(resource, ask.name)
        if metadata.get("uid", "") not in {"", before["uid"]}:
            raise conflict(
                resource,
                ask.name,
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta:"
                f" {before['uid']}",
            )
        self._keep(ask, old, new, tracked=tracked)
        if ask.subresource != "status":
            schema.check_required(resource, new)
            complete(resource, new, self.store)
            validation.check(resource, new)
            validation.check_update(resource, old, new)
            admit_update(resource, old, new, self.store)
        if tracked:
            manager = ask.query.get("fieldManager") or ask.manager
            self._track(schema.of(resource), old, new, manager=manager, ask=ask)
        if _content(new) == _content(old):
            return old
        if resource.has_generation and new.get("spec") != old.get("spec"):
            metadata["generation"] = metadata.get("generation", 1) + 1
        if ask.is_dry_run:
            return new
        return finish(self.store, resource, self.store.put(resource, new))

    @staticmethod
    def _keep(ask: Ask, old: Object, new: Object, *, tracked: bool) -> None:
        """Carry over what a client cannot change: the server's metadata, and the other half."""
        metadata, before = new["metadata"], old["metadata"]
        for key in (*_SERVER_OWNED, "resourceVersion", "deletionGracePeriodSeconds", "namespace"):
            if key == "managedFields" and not tracked:
                continue
            if key in before:
                metadata[key] = before[key]
            else:
                metadata.pop(key, None)
        if ask.subresource == "status":
            labels = clone(metadata)
            for key in [key for key in new if key not in {"metadata", "status"}]:
                del new[key]
            new |= {key: value for key, value in old.items() if key not in {"metadata", "status"}}
            new["metadata"] = labels
        elif "status" in ask.resource.subresources and "status" in old:
            new["status"] = old["status"]
        if ask.resource.plural == "pods":
            new.setdefault("spec", {}).setdefault("nodeName", old["spec"].get("nodeName"))
            if new["spec"]["nodeName"] is None:
                del new["spec"]["nodeName"]

    @staticmethod
    def _track(
        node: schema.Node, old: Object | None, new: Object, *, manager: str, ask: Ask
    ) -> None:
        fields.track_update(
            node,
            old,
            new,
            manager=manager,
            subresource=ask.subresource,
            api_version=ask.resource.api_version,
        )

    def patch(self, ask: Ask, content_type: str, text: bytes) -> tuple[int, Object]:
        """Change an object and return the HTTP status and the object.

        Raises:
            Refusal: anything that a real server refuses with.
        """
        if content_type not in PATCHES[:4]:
            raise unsupported_media(", ".join(PATCHES))
        if content_type == "application/apply-patch+yaml":
            return self._apply(ask, _yaml(text))
        change = _json(text)
        old = self.get(ask)
        if content_type == "application/json-patch+json":
            new = patches.json_patch(old, change)
        elif not isinstance(change, dict):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal into Go value of type"
                " map[string]interface {}"
            )
        elif content_type == "application/merge-patch+json":
            new = patches.merge(old, change)
        else:
            new = patches.strategic(schema.of(ask.resource), old, change)
        new = self._decoded(ask, new)
        new["metadata"] = clone(new["metadata"])
        self._place(ask, new)
        return 200, self._replace(ask, old, new)

    def _apply(self, ask: Ask, body: Any) -> tuple[int, Object]:
        manager = ask.query.get("fieldManager", "")
        if not manager:
            raise Refusal(
                422,
                "Invalid",
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required'
                " for apply patch",
                {
                    "group": "meta.k8s.io",
                    "kind": "PatchOptions",
                    "causes": [
                        {
                            "reason": "FieldValueRequired",
                            "message": "Required value: is required for apply patch",
                            "field": "fieldManager",
                        }
                    ],
                },
            )
        if isinstance(body, dict) and not (body.get("apiVersion") and body.get("kind")):
            raise bad_request("Object 'Kind' is missing in the applied configuration")
        applied = self._decoded(ask, body)
        applied.setdefault("metadata", {})
        self._place(ask, applied)
        if applied["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        live = self.store.get(ask.resource, ask.namespace, ask.name)
        start = live if live is not None else self._nothing(ask, applied)
        new = fields.apply(
            schema.of(ask.resource),
            start,
            applied,
            manager=manager,
            force=ask.flag("force"),
            api_version=ask.resource.api_version,
        )
        if live is not None:
            if (wanted := applied["metadata"].get("resourceVersion")) is not None:
                new["metadata"]["resourceVersion"] = wanted
            return 200, self._replace(ask, live, new, tracked=False)
        if applied["metadata"].get("uid"):
            raise conflict(ask.resource, ask.name, "uid mismatch: the object does not exist")
        validation.check_name(ask.resource, ask.name)
        return 201, self._create(ask, new)

    @staticmethod
    def _nothing(ask: Ask, applied: Object) -> Object:
        metadata = {"name": ask.name}
        if ask.namespace:
            metadata["namespace"] = ask.namespace
        return {
            "kind": applied["kind"],
            "apiVersion": applied["apiVersion"],
            "metadata": metadata,
        }

    def delete(self, ask: Ask, options: Object) -> Object:
        """Delete an object, or begin to, and return the answer's body.

        Raises:
            Refusal: 404 or 409.
        """
        return delete(self.store, ask.resource, self.get(ask), options, dry_run=ask.is_dry_run)


def _content(thing: Object) -> Object:
    """All of an object but its version."""
    metadata = {key: value for key, value in thing["metadata"].items() if key != "resourceVersion"}
    return thing | {"metadata": metadata}


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None


def _yaml(text: bytes) -> Any:
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
