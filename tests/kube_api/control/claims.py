"""Volumes for claims: bound at once or with their first pod, grown, protected while in use."""

import asyncio

from tests.kube_api.api.deletion import finish, remove
from tests.kube_api.api.selectors import matches_selector
from tests.kube_api.kinds import CLAIMS, PODS, STORAGE_CLASSES, VOLUMES
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.objects import (
    Object,
    claim_names,
    clone,
    dig,
    is_finished,
    new_uid,
    now,
    quantity,
)
from tests.kube_api.store import Change, Store

PROTECTION = "kubernetes.io/pvc-protection"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


class Claims:
    """Binds claims, grows them, and lets them go when nothing uses them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._record = Recorder(store, "persistentvolume-controller")
        self._users: dict[tuple[str, str], set[str]] = {}
        store.listeners.append(self._see)

    def _see(self, change: Change) -> None:
        loop = asyncio.get_running_loop()
        if change.resource is CLAIMS:
            loop.call_soon(self._look, *change.key)
            if change.deleted:
                loop.call_soon(self._release, change.new)
        elif change.resource is PODS:
            self._note(change, loop)
        elif change.resource is VOLUMES and change.old is None:
            loop.call_soon(self._offer, change.key[1])

    def _note(self, change: Change, loop: asyncio.AbstractEventLoop) -> None:
        """Keep account of which pods use which claim."""
        pod, namespace = change.new, change.key[0]
        uses = not change.deleted and not is_finished(pod) and dig(pod, "spec", "nodeName")
        for name in claim_names(pod):
            users = self._users.setdefault((namespace, name), set())
            if uses:
                users.add(change.key[1])
            elif change.key[1] in users:
                users.discard(change.key[1])
                if not users:
                    loop.call_soon(self._look, namespace, name)

    def _class(self, claim: Object) -> Object | None:
        name = dig(claim, "spec", "storageClassName", default="")
        return self._store.get(STORAGE_CLASSES, "", name)

    def _look(self, namespace: str, name: str) -> None:
        claim = self._store.get(CLAIMS, namespace, name)
        if claim is None:
            return
        if "deletionTimestamp" in claim["metadata"]:
            self._unprotect(claim)
        elif dig(claim, "status", "phase") == "Bound":
            self._grow(claim)
        elif (volume := self._existing(claim)) is not None:
            self._tie(claim, volume)
        elif self._class(claim) is not None:
            if dig(self._class(claim), "volumeBindingMode") != "WaitForFirstConsumer":
                self.bind(namespace, name, "")
            else:
                words = "waiting for first consumer to be created before binding"
                self._record(claim, "WaitForFirstConsumer", words)

    def _existing(self, claim: Object) -> Object | None:
        """A volume that an admin made and that nobody has yet, if one is good enough."""
        spec = claim["spec"]
        wanted = quantity(dig(spec, "resources", "requests", "storage", default="0"))
        for volume in self._store.values(VOLUMES):
            has = volume["spec"]
            if (
                dig(volume, "status", "phase") == "Available"
                and has.get("storageClassName", "") == spec.get("storageClassName", "")
                and quantity(has["capacity"]["storage"]) >= wanted
                and set(spec["accessModes"]) <= set(has["accessModes"])
                and matches_selector(spec.get("selector") or {}, volume)
            ):
                return volume
        return None

    def _tie(self, claim: Object, volume: Object) -> None:
        """Bind a claim to a volume that is there."""
        metadata, name = claim["metadata"], volume["metadata"]["name"]

        def taken(new: Object) -> None:
            new["spec"]["claimRef"] = _reference(claim)
            new["status"] = {"phase": "Bound"}

        def bound(new: Object) -> None:
            new["spec"]["volumeName"] = name
            new["status"] = {
                "phase": "Bound",
                "accessModes": volume["spec"]["accessModes"],
                "capacity": volume["spec"]["capacity"],
            }

        self._store.replace(VOLUMES, "", name, taken)
        self._store.replace(CLAIMS, metadata["namespace"], metadata["name"], bound)

    def _offer(self, name: str) -> None:
        """Note that a new volume is there, and look whether a claim waits for it."""
        volume = self._store.get(VOLUMES, "", name)
        if volume is None or dig(volume, "spec", "claimRef"):
            return
        if dig(volume, "status", "phase") == "Pending":
            self._store.replace(
                VOLUMES, "", name, lambda new: new.update({"status": {"phase": "Available"}})
            )
        for claim in self._store.values(CLAIMS):
            if dig(claim, "status", "phase") == "Pending":
                self._look(claim["metadata"]["namespace"], claim["metadata"]["name"])

    def _unprotect(self, claim: Object) -> None:
        metadata = claim["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if self._users.get(key) or PROTECTION not in metadata.get("finalizers", []):
            return
        new = clone(claim)
        new["metadata"]["finalizers"].remove(PROTECTION)
        finish(self._store, CLAIMS, self._store.put(CLAIMS, new))

    def _grow(self, claim: Object) -> None:
        wanted = dig(claim, "spec", "resources", "requests", "storage", default="0")
        if quantity(wanted) <= quantity(dig(claim, "status", "capacity", "storage", default="0")):
            return
        if not dig(self._class(claim), "allowVolumeExpansion"):
            return

        def grown(thing: Object) -> None:
            holder = thing["status"] if thing["kind"] == "PersistentVolumeClaim" else thing["spec"]
            holder.setdefault("capacity", {})["storage"] = wanted

        metadata = claim["metadata"]
        self._store.edit(VOLUMES, "", dig(claim, "spec", "volumeName", default=""), grown)
        self._store.edit(CLAIMS, metadata["namespace"], metadata["name"], grown)
        words = "MountVolume.NodeExpandVolume succeeded for volume"
        self._record(claim, "FileSystemResizeSuccessful", words)

    def problem(self, pod: Object) -> str:
        """Return why a pod's claims keep it from every node, or ""."""
        namespace = pod["metadata"]["namespace"]
        for name in claim_names(pod):
            claim = self._store.get(CLAIMS, namespace, name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found. not found'
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted. not found'
            if dig(claim, "status", "phase") == "Bound":
                continue
            found = self._class(claim)
            mode = dig(found, "volumeBindingMode")
            if mode != "WaitForFirstConsumer":
                return "pod has unbound immediate PersistentVolumeClaims. not found"
            if dig(found, "provisioner") == _NO_PROVISIONER:
                return "node(s) didn't find available persistent volumes to bind. not found"
        return ""

    def fits(self, pod: Object, node: str) -> bool:
        """Whether no claim of a pod is one that another pod has for itself alone."""
        namespace, mine = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for name in claim_names(pod):
            claim = self._store.get(CLAIMS, namespace, name)
            modes = dig(claim, "spec", "accessModes", default=[])
            if "ReadWriteOncePod" in modes and self._users.get((namespace, name), set()) - {mine}:
                return False
        return True

    def bind(self, namespace: str, name: str, node: str) -> None:
        """Make a volume for a claim that has none, unless its class makes none."""
        claim = self._store.get(CLAIMS, namespace, name)
        found = None if claim is None else self._class(claim)
        if claim is None or found is None or dig(claim, "spec", "volumeName"):
            return
        if found["provisioner"] == _NO_PROVISIONER:
            return
        volume = f"pvc-{claim['metadata']['uid']}"
        size = claim["spec"]["resources"]["requests"]["storage"]
        self._store.put(VOLUMES, _volume(volume, claim, found, size))

        def bound(new: Object) -> None:
            notes = new["metadata"].setdefault("annotations", {})
            notes |= {
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.kubernetes.io/storage-provisioner": found["provisioner"],
            }
            if node:
                notes["volume.kubernetes.io/selected-node"] = node
            new["spec"]["volumeName"] = volume
            new["status"] = {
                "phase": "Bound",
                "accessModes": new["spec"]["accessModes"],
                "capacity": {"storage": size},
            }

        self._store.edit(CLAIMS, namespace, name, bound)
        self._record(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {volume}")

    def _release(self, claim: Object) -> None:
        """Take away the volume of a claim that is gone, unless it is to be retained."""
        name = dig(claim, "spec", "volumeName", default="")
        volume = self._store.get(VOLUMES, "", name)
        if volume is None:
            return
        if dig(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete":
            remove(self._store, VOLUMES, volume)
            return

        def released(new: Object) -> None:
            new["status"] = {"phase": "Released"}

        self._store.edit(VOLUMES, "", name, released)


def _reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _volume(name: str, claim: Object, storage_class: Object, size: str) -> Object:
    return {
        "kind": "PersistentVolume",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "uid": new_uid(),
            "creationTimestamp": now(),
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "capacity": {"storage": size},
            "accessModes": claim["spec"]["accessModes"],
            "claimRef": _reference(claim),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "csi": {"driver": storage_class["provisioner"], "volumeHandle": name},
        },
        "status": {"phase": "Bound"},
    }
