"""The process of one workspace: an SSH server on loopback that runs as whoever runs the hub.

Started by `kworkspace.spawners.local.launch` as `python -m kworkspace.spawners.local.server`,
outlives the hub, knows nothing of it, and ends on SIGTERM. It isolates nobody from anybody. It
must start fast: no traitlets, tornado or database is imported here.
"""
