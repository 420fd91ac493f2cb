"""What can be set as `c.KubeSpawner.*`: KubeSpawner's names and meanings, and a few of our own.

This class has what concerns the hub, names and profiles; the pod, its place and its volume have
modules of their own. Nothing here calls a cluster. A wrong value is a `TraitError` that begins
with the option's name: of one option when it is set, of several together when all are there.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

from traitlets import Bool, Integer, Unicode, default

from kworkspace.spawners.base import Spawner
from kworkspace.spawners.kube.placement_options import PlacementOptions
from kworkspace.spawners.kube.pod_options import PodOptions
from kworkspace.spawners.kube.profile_list import ProfileList
from kworkspace.spawners.kube.storage_options import StorageOptions
from kworkspace.spawners.kube.traits import Annotations, Labels, MaybeTemplate, Template, Text

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class KubeSpawnerOptions(PodOptions, PlacementOptions, StorageOptions, Spawner):
    """The configuration of the Kubernetes spawner."""

    kubeconfig = Unicode(
        help="""A kubeconfig file, or several with a colon between. Default: $KUBECONFIG, the pod's
        service account, or ~/.kube/config."""
    ).tag(config=True)

    kube_context = Unicode(help="A context of the kubeconfig. Default: its current one.").tag(
        config=True
    )

    k8s_api_host = Unicode(
        help="The API server's URL. Default: what kubeconfig or service account say."
    ).tag(config=True)

    k8s_api_ssl_ca_cert = Unicode(
        help="A file of the authorities that the API server's certificate may be from."
    ).tag(config=True)

    k8s_api_verify_ssl = Bool(
        True, help="Whether the API server must prove who it is. Without it anybody may be it."
    ).tag(config=True)

    k8s_api_request_timeout = Integer(
        10, min=1, help="Seconds that one call of the API server may take."
    ).tag(config=True)

    k8s_api_request_retry_timeout = Integer(
        30, min=1, help="Seconds for which a call that fails is tried again."
    ).tag(config=True)

    namespace = Text(
        allow_none=False,
        help="""The namespace of workspaces; better not the hub's own, so that nobody who gets hold
        of one is near the hub's secrets. Default: the namespace that the hub runs in, else
        `default`.""",
    ).tag(config=True)

    @default("namespace")
    def _default_namespace(self) -> str:
        return self.hub_namespace

    enable_user_namespaces = Bool(
        False,
        help="""Whether each user has a namespace of their own, which is made when it is missing.
        The hub needs its rights in the whole cluster then.""",
    ).tag(config=True)

    user_namespace_template = Template(
        "{hubnamespace}-{username}", help="The name of a user's namespace."
    ).tag(config=True)

    user_namespace_labels = Labels(
        templated=True, help="Labels of users' namespaces, set when they are made."
    ).tag(config=True)

    user_namespace_annotations = Annotations(
        templated=True, help="Annotations of users' namespaces, set when they are made."
    ).tag(config=True)

    pod_name_template = Template(
        "workspace-{slug}",
        help="""The name of a pod; it must differ for every two workspaces. Secret and Service are
        named after it.""",
    ).tag(config=True)

    pvc_name_template = Template(
        "workspace-{slug}",
        help="""The name of a claim. With {username} alone, all workspaces of a user share one home.

        A claim that a workspace has is found by its labels, whatever the template says now.""",
    ).tag(config=True)

    dns_name_template = Template(
        "{name}.{namespace}.svc.cluster.local",
        fields=("name", "namespace"),
        help="The DNS name of a Service.",
    ).tag(config=True)

    pod_connect_ip = MaybeTemplate(
        "",
        help="""Where the gateway reaches a workspace, as a template. Default: its Service if that
        is a ClusterIP, else the pod's address.""",
    ).tag(config=True)

    wait_for_capacity = Bool(
        False,
        help="""Whether a start that finds no node with room waits for one, in a queue, instead of
        failing at start_timeout.""",
    ).tag(config=True)

    profile_list = ProfileList(
        help="""Kinds of workspaces that people choose from (`kworkspace start --profile gpu`): a
        list, a dictionary by slug, or a callable that gets (spawner, workspace).

        Each is a dictionary with `display_name`, and if wanted `slug`, `description`, `default`
        (True for the one that counts when nothing is asked for; else the first), `overrides` (also
        `kubespawner_override`): options by name, where dictionaries are merged into what is
        configured, None takes a key away, and a callable gets (spawner, workspace);
        `profile_options`: {NAME: {"display_name": ..., "choices": {CHOICE: {"display_name",
        "default", "overrides"}}, "unlisted_choice": {"enabled": True, "validation_regex",
        "validation_message", "overrides"}}}, in whose overrides {value} is what was typed."""
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Late: it builds pods to see whether they fit together, which needs this class.
        from kworkspace.spawners.kube.checks import check  # noqa: PLC0415

        check(self)

    @cached_property
    def hub_namespace(self) -> str:
        """The namespace that the hub runs in, "default" where it runs in none."""
        try:
            return _NAMESPACE_FILE.read_text().strip() or "default"
        except OSError:
            return "default"

    def is_set(self, name: str) -> bool:
        """Whether an option says something else than its default."""
        return bool(getattr(self, name) != getattr(type(self), name).default(self))
