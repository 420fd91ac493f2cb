"""Namespaces: what stands in a new one, and how one that ends is emptied."""

import asyncio

from tests.kube_api.api.deletion import delete
from tests.kube_api.kinds import NAMESPACES, RESOURCES, SERVICES, named
from tests.kube_api.objects import Object, clone, dig, new_uid, now
from tests.kube_api.store import Change, Store


class Namespaces:
    """The controllers of namespaces, and of load balancers, which are as small.

    Attributes:
        holds: while set, a namespace that ends stays as it is: Terminating.
    """

    def __init__(self, store: Store) -> None:
        self.holds = False
        self._store = store
        self._balancers = 0
        store.listeners.append(self._see)

    def _see(self, change: Change) -> None:
        loop = asyncio.get_running_loop()
        if change.resource is NAMESPACES and not change.deleted:
            if change.old is None:
                loop.call_soon(self._furnish, change.key[1])
            elif dig(change.new, "status", "phase") == "Terminating":
                loop.call_soon(self._empty, change.key[1])
        elif change.resource is SERVICES and not change.deleted:
            if dig(change.new, "spec", "type") == "LoadBalancer":
                loop.call_soon(self._balance, *change.key)
        elif change.deleted:
            loop.call_soon(self._close, change.key[0])

    def _furnish(self, name: str) -> None:
        for resource, thing_name in (
            (named("serviceaccounts"), "default"),
            (named("configmaps"), "kube-root-ca.crt"),
        ):
            if self._store.get(resource, name, thing_name) is None:
                thing: Object = {
                    "kind": resource.kind,
                    "apiVersion": resource.api_version,
                    "metadata": {
                        "name": thing_name,
                        "namespace": name,
                        "uid": new_uid(),
                        "creationTimestamp": now(),
                    },
                }
                if resource.kind == "ConfigMap":
                    thing["data"] = {"ca.crt": ""}
                self._store.put(resource, thing)

    def _balance(self, namespace: str, name: str) -> None:
        service = self._store.get(SERVICES, namespace, name)
        if service is None or dig(service, "status", "loadBalancer", "ingress"):
            return
        self._balancers += 1
        new = clone(service)
        address = f"203.0.113.{self._balancers % 254 + 1}"
        new["status"] = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        self._store.put(SERVICES, new)

    def _empty(self, name: str) -> None:
        if self.holds:
            return
        for resource in RESOURCES:
            if resource.namespaced:
                for thing in self._store.values(resource, name):
                    if "deletionTimestamp" not in thing["metadata"]:
                        delete(self._store, resource, thing, {})
        self._close(name)

    def _close(self, name: str) -> None:
        """Take a namespace away that ends and is empty."""
        namespace = self._store.get(NAMESPACES, "", name)
        if self.holds or dig(namespace, "status", "phase") != "Terminating":
            return
        if not any(self._store.values(one, name) for one in RESOURCES if one.namespaced):
            self._store.remove(NAMESPACES, "", name)
