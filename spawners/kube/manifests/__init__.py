"""Builders of Kubernetes objects: pure functions from options and a workspace to plain dicts.

Nothing here calls anything, reads a file or a clock; `spawners.kube.objects` brings the objects to
the cluster. What comes in has been checked at start, so that nothing here raises for a
configuration that the hub has accepted.
"""
