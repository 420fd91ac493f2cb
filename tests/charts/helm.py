"""The chart, rendered by the real Helm, which helm-python-sdk carries as a library."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "charts/kworkspace"
RELEASE, NAMESPACE = "kworkspace", "hub"
NOTES = "kworkspace/templates/NOTES.txt"

Values = dict[str, Any]
Object = dict[str, Any]

TABLE: dict[str, Values] = {
    "default": {},
    "load-balancer": {
        "gateway": {
            "replicas": 2,
            "publicHost": "ssh.hub.example",
            "service": {
                "type": "LoadBalancer",
                "externalTrafficPolicy": "Local",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "annotations": {"example.com/kind": "internal"},
            },
            "networkPolicy": {"enabled": True},
        },
    },
    "node-port": {"gateway": {"service": {"type": "NodePort", "nodePort": 32022}}},
    "ipv6": {"listenAddress": "[::]"},
    "ingress": {
        "hub": {"baseUrl": "/kworkspace", "trustedProxies": ["10.0.0.0/8"]},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "hub.example",
            "tlsSecret": "hub-tls",
            "annotations": {"example.com/kind": "public"},
        },
    },
    "existing-secrets": {
        "hub": {"existingSecret": "our-hub", "persistence": {"existingClaim": "our-claim"}},
        "gateway": {"existingSecret": "our-gateway"},
        "serviceAccount": {"create": False, "name": "our-hub"},
        "rbac": {"create": False},
        "image": {"pullSecrets": [{"name": "registry"}]},
    },
    "postgres-url": {
        "hub": {
            "db": {"url": "postgresql://kworkspace@db.example/kworkspace"},
            "persistence": {"enabled": False},
        }
    },
    "postgres-secret": {
        "hub": {"db": {"existingSecret": "our-db", "secretKey": "uri", "upgrade": True}}
    },
    "upgrade": {"hub": {"db": {"upgrade": True}}},
    "no-network-policy": {
        "workspaces": {"networkPolicy": {"enabled": False}, "createNamespace": False}
    },
    "network-policy": {
        "workspaces": {
            "networkPolicy": {
                "apiServer": "10.0.0.1/32",
                "extraIngress": [{"from": [{"podSelector": {}}]}],
            }
        },
    },
    "egress": {"workspaces": {"networkPolicy": {"egress": [{"ports": [{"port": 443}]}]}}},
    "restricted": {
        "workspaces": {
            "namespace": "people",
            "podSecurity": "restricted",
            "image": "team/workspace:1",
            "storage": {"capacity": "20Gi", "storageClassName": "fast"},
        }
    },
    "everything-of-pods": {
        part: {
            "podAnnotations": {"example.com/a": "b"},
            "podLabels": {"team": "ml"},
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "system", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
        }
        for part in ("hub", "gateway")
    },
    "configuration": {
        "hub": {
            "publicUrls": ["https://hub.example"],
            "config": {
                "Hub": {
                    "allow_named_servers": True,
                    "template_vars": {"commands": ["a <b> & 'c'"]},
                },
                "SSHKeyAuthenticator": {"users": {"alice": ["ssh-ed25519 AAAA"]}},
                "KubeSpawner": {"mem_limit": "8Gi", "cpu_limit": 1.5, "image_pull_policy": None},
            },
            "extraConfig": {
                "20-last": "c.KubeSpawner.cpu_guarantee = limit",
                "10-first": "limit = 0.5\nif limit:\n    c.KubeSpawner.sudo = True\n",
            },
            "extraEnv": [{"name": "A", "value": "b"}],
            "extraVolumes": [{"name": "keys", "configMap": {"name": "keys"}}],
            "extraVolumeMounts": [{"name": "keys", "mountPath": "/keys"}],
        },
    },
}


@dataclass(frozen=True)
class Rendered:
    """What Helm would send to a cluster.

    Attributes:
        objects: all of them.
        notes: what it says when it is done.
    """

    objects: tuple[Object, ...]
    notes: str

    def of(self, kind: str) -> list[Object]:
        """Return the objects of a kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """Return an object."""
        [found] = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found

    def has(self, kind: str, name: str) -> bool:
        """Whether there is such an object."""
        return name in {each["metadata"]["name"] for each in self.of(kind)}


@cache
def chart() -> helm_python.Chart:
    """Return the chart, loaded."""
    return helm_python.Chart.load(CHART)


def render(values: Values | None = None, name: str = RELEASE) -> Rendered:
    """Render it as `helm template` does, without a cluster.

    Raises:
        helm_python.HelmError: the values are refused.
    """
    chart().validate_schema(values or {})
    return parsed(chart().render(values or {}, name=name, namespace=NAMESPACE))


def parsed(files: dict[str, str]) -> Rendered:
    """Return what is in rendered files."""
    notes = files.pop(NOTES)
    objects = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    return Rendered(tuple(objects), notes)


def pod(deployment: Object) -> Object:
    """Return the pod of a Deployment as an object of its own."""
    template = deployment["spec"]["template"]
    name = deployment["metadata"]["name"]
    metadata = {"name": name, "namespace": NAMESPACE, **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
