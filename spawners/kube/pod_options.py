"""Options of a workspace's pod: image, resources, identity, and what an admin adds to it.

Names and meanings are KubeSpawner's where it has the option. `config.KubeSpawnerOptions` inherits
them; nothing else uses this module.
"""

from traitlets import Bool, Enum, HasTraits, Integer

from kworkspace.spawners.kube.own import (
    check_container,
    check_init_containers,
    check_mounts,
    check_sidecars,
    check_spec,
    check_volumes,
)
from kworkspace.spawners.kube.pod_template import PodTemplate
from kworkspace.spawners.kube.traits import (
    Annotations,
    Environment,
    Hook,
    Labels,
    Number,
    Numbers,
    Object,
    Objects,
    Quantities,
    Quantity,
    References,
    Template,
    Text,
)

_CALLED = " Or a callable that gets (spawner, workspace); may be a coroutine function."


class PodOptions(HasTraits):
    """What can be set of the pod."""

    image = Text(
        "ubuntu:24.04",
        help="""The image that workspaces run. It needs no SSH server: as root, one is installed
        where there is none (apt, apk, dnf or microdnf).

        A fixed tag or digest is better than `latest`, which may differ from node to node.""",
    ).tag(config=True)

    image_pull_policy = Enum(
        ("Always", "IfNotPresent", "Never"),
        default_value=None,
        allow_none=True,
        help="""When a node pulls the image: Always, IfNotPresent or Never. None leaves it to
        Kubernetes: Always for the tag `latest` or none, else IfNotPresent.""",
    ).tag(config=True)

    image_pull_secrets = References(
        help="""Names of Secrets, in the workspaces' namespace, with credentials for registries:
        texts, or dictionaries as {"name": "registry"}."""
    ).tag(config=True)

    environment = Environment(
        may_call=True,
        templated=True,
        help="""Variables of the container, which SSH sessions get too: texts (templates), callables
        that get (spawner, workspace), or dictionaries as Kubernetes has them:
        {"valueFrom": {"secretKeyRef": {"name": "tokens", "key": "hf"}}}.

        One may refer to another by $(NAME).""",
    ).tag(config=True)

    cpu_guarantee = Quantity(
        may_call=True,
        help='Processor cores that a workspace is sure to have: 0.5, "500m".' + _CALLED,
    ).tag(config=True)

    cpu_limit = Quantity(
        may_call=True,
        help="Processor cores that a workspace can use at most; None or 0: no limit." + _CALLED,
    ).tag(config=True)

    mem_guarantee = Quantity(
        may_call=True,
        help="""Memory that a workspace is sure to have: "2Gi" (2^31 bytes), "2G" (2*10^9 bytes),
        or bytes."""
        + _CALLED,
    ).tag(config=True)

    mem_limit = Quantity(
        may_call=True,
        help="Memory that a workspace can use at most; above it is killed. None or 0: no limit."
        + _CALLED,
    ).tag(config=True)

    gpu_limit = Number(
        may_call=True, help="How many GPUs a workspace has; None: none is asked for." + _CALLED
    ).tag(config=True)

    gpu_resource = Text(
        "nvidia.com/gpu", help="What Kubernetes calls the GPUs that gpu_limit counts."
    ).tag(config=True)

    extra_resource_guarantees = Quantities(
        help='Other resources that a workspace is sure to have: {"ephemeral-storage": "5Gi"}.'
    ).tag(config=True)

    extra_resource_limits = Quantities(
        help='Other resources that a workspace can use: {"amd.com/gpu": 1}.'
    ).tag(config=True)

    uid = Number(
        may_call=True,
        help="""The user id that the container runs as.

        None or 0: as root, which makes the person's account (`account_uid`) and installs what is
        missing. Any other: as that user and nobody else, in a pod that PodSecurity `restricted`
        admits; the image must have an SSH server then."""
        + _CALLED,
    ).tag(config=True)

    gid = Number(
        may_call=True,
        help="The group id that the container runs as; None: the same number as `uid`." + _CALLED,
    ).tag(config=True)

    fs_gid = Number(
        may_call=True,
        help="""The group that volumes are given to. None: `gid` where the container runs as a plain
        user, else the volumes are left as they are."""
        + _CALLED,
    ).tag(config=True)

    supplemental_gids = Numbers(
        may_call=True, help="More groups of the container's processes." + _CALLED
    ).tag(config=True)

    privileged = Bool(False, help="Run the container privileged: it can take over its node.").tag(
        config=True
    )

    allow_privilege_escalation = Bool(
        False,
        allow_none=True,
        help="""Whether a process may gain privileges by a set-uid program, as sudo does. `sudo`
        allows it too. None leaves it to the cluster.""",
    ).tag(config=True)

    container_security_context = Object(
        "V1SecurityContext",
        partial=True,
        may_call=True,
        help="""A securityContext for the container; counts more than uid, gid, privileged and
        allow_privilege_escalation."""
        + _CALLED,
    ).tag(config=True)

    pod_security_context = Object(
        "V1PodSecurityContext",
        partial=True,
        may_call=True,
        help="A securityContext for the pod; counts more than fs_gid and supplemental_gids."
        + _CALLED,
    ).tag(config=True)

    account_template = Template(
        "{username}",
        help="The Unix account of a workspace; made into a name that useradd takes.",
    ).tag(config=True)

    account_uid = Number(
        1000,
        least=1,
        help="""The account's user id where the container runs as root. A home that exists keeps its
        owner: then that one counts.""",
    ).tag(config=True)

    account_gid = Number(
        None, least=1, help="The account's group id; None: the same number as `account_uid`."
    ).tag(config=True)

    home_dir = Template(
        "/home/{account}", help="The account's home, where the workspace's volume is mounted."
    ).tag(config=True)

    shell = Text("/bin/bash", help="The account's shell; it must be in the image.").tag(config=True)

    sudo = Bool(
        False, help="Whether the account may do everything with sudo, without a password."
    ).tag(config=True)

    ssh_port = Number(2222, least=1, most=65535, help="The port in the pod where SSH listens.").tag(
        config=True
    )

    working_dir = Template(
        help="The container's working directory; None: the image's. Sessions begin at home."
    ).tag(config=True)

    service_account = Template(
        help="""The service account of the pods, in the workspaces' namespace. Its token is mounted
        only with automount_service_account_token."""
    ).tag(config=True)

    automount_service_account_token = Bool(
        False,
        allow_none=True,
        help="""Whether the service account's token is in the container, where whoever uses the
        workspace can act with its rights. None: if service_account is set.""",
    ).tag(config=True)

    task_resources = Object(
        "V1ResourceRequirements",
        partial=True,
        help="""Resources of the pods that do work beside a home, such as backups:
        {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}}.""",
    ).tag(config=True)

    lifecycle_hooks = Object(
        "V1Lifecycle",
        partial=True,
        help="""What Kubernetes runs in the container, `postStart` and `preStop`:
        {"postStart": {"exec": {"command": ["/bin/sh", "-c", "..."]}}}.""",
    ).tag(config=True)

    init_containers = Objects(
        "V1Container",
        templated=True,
        also=check_init_containers,
        help="Containers that run before the workspace's: a list, or a dictionary by keys.",
    ).tag(config=True)

    extra_containers = Objects(
        "V1Container",
        templated=True,
        also=check_sidecars,
        help="Containers beside the workspace's: a list, or a dictionary in order of keys.",
    ).tag(config=True)

    volumes = Objects(
        "V1Volume",
        templated=True,
        also=check_volumes,
        help="""More volumes of the pod, as Kubernetes has them: a list, or a dictionary in order of
        keys. The workspace's own is mounted at home_dir without being named here.""",
    ).tag(config=True)

    volume_mounts = Objects(
        "V1VolumeMount",
        templated=True,
        also=check_mounts,
        help="Where the container has the volumes: a list, or a dictionary in order of keys.",
    ).tag(config=True)

    extra_container_config = Object(
        "V1Container",
        partial=True,
        also=check_container,
        help="""Anything else of the workspace's container, merged into it:
        {"envFrom": [{"configMapRef": {"name": "proxies"}}]}.""",
    ).tag(config=True)

    extra_pod_config = Object(
        "V1PodSpec",
        partial=True,
        templated=True,
        also=check_spec,
        help='Anything else of the pod\'s spec, merged into it: {"dnsPolicy": "None"}.',
    ).tag(config=True)

    pod_template = PodTemplate(
        help="""A whole Pod or PodSpec that workspaces' pods are made from: a dictionary, or the
        path of a YAML file.

        Options count more than it does; it counts more than their defaults. Lists are merged as
        Kubernetes merges them: containers, volumes and variables by name, mounts by path. The
        workspace's container is the one called `workspace`. Fields such as {username} are replaced;
        other braces stay.""",
    ).tag(config=True)

    common_labels = Labels(
        help="Labels of all objects of all workspaces, beside kworkspace's own."
    ).tag(config=True)

    extra_labels = Labels(
        templated=True, help="More labels of pods, Services and Secrets; values are templates."
    ).tag(config=True)

    extra_annotations = Annotations(
        templated=True, help="Annotations of pods, Services and Secrets; values are templates."
    ).tag(config=True)

    delete_grace_period = Integer(
        15,
        min=0,
        help="""Seconds that a pod gets to end by itself when it is stopped, preStop included; then
        it is killed.""",
    ).tag(config=True)

    modify_pod_hook = Hook(
        help="""Called with (spawner, pod) before a pod is made, where `pod` is a dictionary as
        Kubernetes has it; returns it, changed. May be a coroutine function."""
    ).tag(config=True)

    after_pod_created_hook = Hook(
        help="Called with (spawner, pod) when a pod is made; may be a coroutine function."
    ).tag(config=True)
