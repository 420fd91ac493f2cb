"""A hub as a team has it: the configuration that the golden files are made from."""

from pathlib import Path
from typing import Any

from kworkspace.spawners.base import Task

TEMPLATE = Path(__file__).parent / "golden/pod_template.yaml"

HUB: dict[str, Any] = {
    "namespace": "workspaces",
    "image": "registry.example.org/workspace:2026-10",
    "image_pull_secrets": ["registry"],
    "storage_class": "fast",
    "storage_capacity": "20Gi",
    "cpu_guarantee": 0.5,
    "cpu_limit": 4,
    "mem_guarantee": "1Gi",
    "mem_limit": "8Gi",
    "environment": {
        "HTTPS_PROXY": "http://proxy.example.org:3128",
        "TEAM_TOKEN": {"valueFrom": {"secretKeyRef": {"name": "team", "key": "token"}}},
    },
    "common_labels": {"example.org/cost-centre": "research"},
    "extra_annotations": {"example.org/owner": "{unescaped_username}"},
    "task_resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
    "profile_list": [
        {"display_name": "CPU", "slug": "cpu", "default": True, "overrides": {"sudo": True}},
        {
            "display_name": "Restricted",
            "description": "As a plain user, as PodSecurity `restricted` wants it",
            "overrides": {"uid": 1000, "gid": 100},
        },
        {
            "display_name": "GPU",
            "overrides": {
                "image": "registry.example.org/cuda:13",
                "gpu_limit": 1,
                "mem_guarantee": "16Gi",
                "mem_limit": "64Gi",
                "node_selector": {"nvidia.com/gpu.product": "NVIDIA-L40S"},
                "tolerations": [
                    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
                ],
                "priority_class_name": "gpu",
                "runtime_class_name": "nvidia",
                "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}}],
                "volume_mounts": [{"name": "shm", "mountPath": "/dev/shm"}],
            },
        },
        {"display_name": "Template", "overrides": {"pod_template": str(TEMPLATE)}},
    ],
}

BACKUP = Task(
    name="backup",
    argv=("restic", "backup", "."),
    image="restic/restic:0.18",
    environment={"RESTIC_REPOSITORY": "s3:s3.example.org/homes"},
    read_only=True,
    seconds=7200,
)
