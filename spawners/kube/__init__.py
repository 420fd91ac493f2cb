"""Workspaces as pods: what is configured, the objects that are made of it, and the calls for them.

`config` and the builders in `manifests` are plain data in, plain data out: no call, no clock. Only
`client` speaks to an API server, and only the spawner decides what is to be there.
"""
