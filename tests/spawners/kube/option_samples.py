"""Values for every option of KubeSpawner that reaches a manifest, and those that reach none."""

from collections.abc import Mapping
from typing import Any

_TERM: dict[str, Any] = {
    "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]
}
_NEAR: dict[str, Any] = {
    "labelSelector": {"matchLabels": {"app": "cache"}},
    "topologyKey": "kubernetes.io/hostname",
}
_RUN: dict[str, Any] = {"exec": {"command": ["/bin/sh", "-c", "echo {username}"]}}
_TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "blue"}, "annotations": {"mail": "{username}@example.org"}},
    "spec": {
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.53"], "options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["nas"]}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "workspace"}},
            }
        ],
        "securityContext": {
            "fsGroup": 100,
            "sysctls": [{"name": "net.core.somaxconn", "value": "9"}],
        },
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}],
        "initContainers": [{"name": "vpn", "image": "vpn:1", "restartPolicy": "Always"}],
        "containers": [
            {
                "name": "workspace",
                "env": [{"name": "TEAM", "value": "blue"}],
                "resources": {"limits": {"memory": "4Gi"}, "requests": {"memory": "1Gi"}},
                "livenessProbe": {"tcpSocket": {"port": "ssh"}, "periodSeconds": 60},
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            },
            {"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 3128}]},
        ],
    },
}
_VOLUMES: list[dict[str, Any]] = [
    {"name": "data", "nfs": {"server": "nas", "path": "/{username}", "readOnly": True}},
    {"name": "node", "hostPath": {"path": "/srv", "type": "Directory"}},
    {"name": "shared", "persistentVolumeClaim": {"claimName": "team-{username}"}},
    {
        "name": "token",
        "projected": {"sources": [{"serviceAccountToken": {"path": "token", "audience": "vault"}}]},
    },
    {
        "name": "scratch",
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                }
            }
        },
    },
]

# By option: values, each of which is tried.
SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "account_gid": (100,),
    "account_template": ("dev-{username}",),
    "account_uid": (5000,),
    "allow_privilege_escalation": (True, None),
    "automount_service_account_token": (True,),
    "common_labels": ({"team": "blue", "example.org/tier": "one"},),
    "container_security_context": (
        {"runAsUser": 1000, "readOnlyRootFilesystem": True},
        {"capabilities": {"add": ["SYS_PTRACE"], "drop": ["NET_RAW"]}},
        lambda *_: {"appArmorProfile": {"type": "RuntimeDefault"}},
    ),
    "cpu_guarantee": (0.5, "250m", lambda *_: 1),
    "cpu_limit": (2, "1500m", lambda *_: "2"),
    "delete_grace_period": (0, 120),
    "enable_user_namespaces": (True,),
    "environment": (
        {
            "A": "{username}",
            "B": "$(A)",
            "C": {"valueFrom": {"secretKeyRef": {"name": "tokens", "key": "hf"}}},
            "D": lambda *_: "now",
            "E": {"valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
            "F": 1,
        },
        lambda *_: {"A": "b"},
    ),
    "extra_annotations": ({"mail": "{unescaped_username}@example.org"},),
    "extra_container_config": (
        {
            "envFrom": [{"configMapRef": {"name": "proxies", "optional": True}}],
            "ports": [{"name": "http", "containerPort": 8888}],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "tty": True,
        },
    ),
    "extra_containers": (
        [{"name": "proxy", "image": "proxy:1", "args": ["{username}"]}],
        {"b": {"name": "b", "image": "b:1"}, "a": {"name": "a", "image": "a:1"}},
    ),
    "extra_labels": ({"person": "{unescaped_username}"},),
    "extra_pod_config": (
        {"dnsPolicy": "Default", "hostUsers": False, "activeDeadlineSeconds": 86400},
    ),
    "extra_resource_guarantees": ({"ephemeral-storage": "5Gi"},),
    "extra_resource_limits": ({"amd.com/gpu": 1, "ephemeral-storage": "9Gi"},),
    "extra_service_config": (
        {"externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
        {"ipFamilyPolicy": "PreferDualStack", "allocateLoadBalancerNodePorts": False},
    ),
    "fs_gid": (0, 100, lambda *_: 100),
    "gid": (100, lambda *_: 100),
    "gpu_limit": (1, lambda *_: 4),
    "gpu_resource": ("amd.com/gpu",),
    "home_dir": ("/data/{account}",),
    "image": ("registry.example.org/team/tools@sha256:" + "0" * 64,),
    "image_pull_policy": ("Always", "IfNotPresent", "Never"),
    "image_pull_secrets": ("registry", ["a", {"name": "b"}]),
    "init_containers": (
        [{"name": "fetch", "image": "fetch:1", "command": ["fetch", "{username}"]}],
        {"a": {"name": "vpn", "image": "vpn:1", "restartPolicy": "Always"}},
    ),
    "lifecycle_hooks": ({"postStart": _RUN, "preStop": {"sleep": {"seconds": 5}}},),
    "mem_guarantee": ("1Gi", 2**30, lambda *_: "1G"),
    "mem_limit": ("4Gi", 2**32, lambda *_: "4G"),
    "namespace": ("people",),
    "node_affinity_preferred": ([{"weight": 1, "preference": _TERM}],),
    "node_affinity_required": ([_TERM], {"a": _TERM}),
    "node_selector": ({"disktype": "ssd", "node.kubernetes.io/instance-type": "m5"},),
    "pod_affinity_preferred": ([{"weight": 100, "podAffinityTerm": _NEAR}],),
    "pod_affinity_required": ([_NEAR],),
    "pod_anti_affinity_preferred": ([{"weight": 1, "podAffinityTerm": _NEAR}],),
    "pod_anti_affinity_required": ([_NEAR],),
    "pod_name_template": ("dev-{username}--{servername}",),
    "pod_security_context": (
        {"runAsUser": 1000, "seccompProfile": {"type": "Unconfined"}},
        lambda *_: {"fsGroup": 100, "fsGroupChangePolicy": "Always"},
    ),
    "pod_template": (_TEMPLATE, _TEMPLATE["spec"]),
    "priority_class_name": ("workspaces",),
    "privileged": (True,),
    "profile_list": (
        [{"display_name": "GPU", "overrides": {"gpu_limit": 1, "cpu_limit": lambda *_: 2}}],
        lambda *_: {"gpu": {"kubespawner_override": {"image": "cuda:13"}}},
    ),
    "pvc_name_template": ("home-{username}", "claim-{user_server}"),
    "runtime_class_name": ("nvidia",),
    "scheduler_name": ("packer",),
    "service_account": ("for-{username}",),
    "service_annotations": (
        {"external-dns.alpha.kubernetes.io/hostname": "{username}.example.org"},
    ),
    "service_port": (2200,),
    "service_type": ("ClusterIP", "NodePort", "LoadBalancer"),
    "shell": ("/bin/zsh",),
    "ssh_port": (2022,),
    "storage_access_modes": (["ReadWriteOncePod"], ["ReadWriteMany", "ReadOnlyMany"]),
    "storage_capacity": ("1Ti", 10**9, None),
    "storage_class": ("fast", ""),
    "storage_extra_annotations": ({"backup.example.org/keep": "{username}"},),
    "storage_extra_labels": ({"person": "{unescaped_username}"},),
    "storage_pvc_ensure": (False,),
    "storage_selector": (
        {
            "matchLabels": {"for": "{username}"},
            "matchExpressions": [{"key": "tier", "operator": "Exists"}],
        },
    ),
    "sudo": (True,),
    "supplemental_gids": ([100, 200], lambda *_: [100]),
    "task_resources": ({"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},),
    "tolerations": (
        [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        {"a": {"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 60}},
    ),
    "uid": (1000, lambda *_: 1000),
    "user_namespace_annotations": ({"person": "{unescaped_username}"},),
    "user_namespace_labels": ({"person": "{unescaped_username}"},),
    "user_namespace_template": ("people-{username}",),
    "volume_mounts": (
        [
            {"name": "data", "mountPath": "/data", "readOnly": True, "subPath": "{username}"},
            {"name": "shared", "mountPath": "/shared", "mountPropagation": "HostToContainer"},
        ],
    ),
    "volumes": (_VOLUMES, {"b": _VOLUMES[0], "a": _VOLUMES[2]}),
    "working_dir": ("/srv/{username}",),
}

# By option: others without which it says nothing.
NEEDS: Mapping[str, dict[str, Any]] = {
    "extra_service_config": {"service_type": "LoadBalancer"},
    "gpu_resource": {"gpu_limit": 1},
    "service_annotations": {"service_type": "LoadBalancer"},
    "service_port": {"service_type": "NodePort"},
    "user_namespace_annotations": {"enable_user_namespaces": True},
    "user_namespace_labels": {"enable_user_namespaces": True},
    "user_namespace_template": {"enable_user_namespaces": True},
    "volume_mounts": {"volumes": _VOLUMES},
}

_CLIENT = "how the API server is reached"
_REACH = "where the gateway reaches what is made"
NOT_IN_A_MANIFEST: Mapping[str, str] = {
    "after_pod_created_hook": "the pod is made by then",
    "delete_pvc": "what is deleted, and when",
    "dns_name_template": _REACH,
    "k8s_api_host": _CLIENT,
    "k8s_api_request_retry_timeout": _CLIENT,
    "k8s_api_request_timeout": _CLIENT,
    "k8s_api_ssl_ca_cert": _CLIENT,
    "k8s_api_verify_ssl": _CLIENT,
    "kube_context": _CLIENT,
    "kubeconfig": _CLIENT,
    "modify_pod_hook": "what it makes of a pod is the admin's",
    "pod_connect_ip": _REACH,
    "wait_for_capacity": "how long a start waits",
}
