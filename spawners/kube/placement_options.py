"""Options of where a workspace's pod runs. Names and meanings are KubeSpawner's.

Each list may be a dictionary, whose values are taken in the order of its keys.
`config.KubeSpawnerOptions` inherits them; nothing else uses this module.
"""

from traitlets import HasTraits

from kworkspace.spawners.kube.traits import Labels, Objects, Text


class PlacementOptions(HasTraits):
    """What can be set of the place."""

    node_selector = Labels(help='Labels that a node must have: {"disktype": "ssd"}.', own=True).tag(
        config=True
    )

    tolerations = Objects(
        "V1Toleration",
        help="""Taints of nodes that do not keep workspaces away:
        [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}].""",
    ).tag(config=True)

    node_affinity_preferred = Objects(
        "V1PreferredSchedulingTerm", help="PreferredSchedulingTerms: nodes that are better."
    ).tag(config=True)

    node_affinity_required = Objects(
        "V1NodeSelectorTerm", help="NodeSelectorTerms: nodes that will do; one of them must match."
    ).tag(config=True)

    pod_affinity_preferred = Objects(
        "V1WeightedPodAffinityTerm", help="WeightedPodAffinityTerms: pods to be near to, if it can."
    ).tag(config=True)

    pod_affinity_required = Objects(
        "V1PodAffinityTerm", help="PodAffinityTerms: pods to be near to."
    ).tag(config=True)

    pod_anti_affinity_preferred = Objects(
        "V1WeightedPodAffinityTerm",
        help="WeightedPodAffinityTerms: pods to be far from, if it can.",
    ).tag(config=True)

    pod_anti_affinity_required = Objects(
        "V1PodAffinityTerm", help="PodAffinityTerms: pods to be away from."
    ).tag(config=True)

    priority_class_name = Text(help="The PriorityClass of the pods.").tag(config=True)

    scheduler_name = Text(help="The scheduler of the pods; None: the cluster's.").tag(config=True)

    runtime_class_name = Text(help="The RuntimeClass of the pods, as `nvidia` or `gvisor`.").tag(
        config=True
    )
